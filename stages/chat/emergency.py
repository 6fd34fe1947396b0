"""Whether a question sounds like an emergency, by its words: it errs on the side of saying so.

The words are those of published lists: NHS, "When to call 999" (chest pain, breathing, stroke, severe bleeding, burns,
allergic reactions, seizures, loss of consciousness, confusion, head injuries), "Is your baby or toddler seriously
ill?", sepsis and meningitis; American Stroke Association, F.A.S.T. (face, arm, speech); CDC, signs of a stroke, a heart
attack, poisoning and urgent maternal trouble; NICE NG143, fever in a child; WHO, suicide. A sign that the text denies,
or asks about as a textbook does, counts too.
"""

import re
import unicodedata

LINE = (
    "This may be an emergency. If it is about someone now, call your emergency number and do not wait for an answer "
    "here: 112 in Europe, 911 in North America, 999 in the UK, 120 in China. For thoughts of suicide: 988 in the US "
    "and Canada, 116 123 in the UK, findahelpline.com elsewhere."
)
BABY = r"newborn|neonate|infant|bab(?:y|ies)|(?:days?|weeks?|(?:one|two|three|[123])[- ]months?)[- ]old"
NOT = "can'?t|cannot|(?:is|does|did|could|wo)n'?t|not"
TAKEN = (
    r"too (?:many|much)|whole (?:bottle|box|pack)|bleach|batter(?:y|ies)|magnets?|detergent|"
    r"(?:bottle|handful|\d\d+|twenty|thirty|forty|fifty|all (?:my|the|his|her)) (?:of )?(?:pills|tablets|capsules)|"
    r"\d\d+ (?:paracetamol|acetaminophen|tylenol|ibuprofen|aspirin|[a-z]*zepam|sleeping)"
)


def _any(words: str) -> str:
    """A pattern of words, each from its beginning on."""
    return r"\b(?:" + "|".join(word.strip() for word in words.split(",")) + ")"


def _near(one: str, other: str, words: int = 6) -> str:
    """A pattern of two words with at most so many others between, in either order."""
    one, other, between = rf"\b(?:{one})", rf"\b(?:{other})", rf"\w*(?:[^\w.?!]+[\w']+){{0,{words}}}?[^\w.?!]+"
    return f"{one}{between}{other}|{other}{between}{one}"


WORDS = (
    # Heart
    _near("chest|breastbone", "pain|hurt|ach|tight|pressure|crush|heav|squeez|burn|discomfort|stab"),
    _near("heart", "racing|pound|stop", 3),
    _near("left arm|jaw", "pain|ache|numb|tingl", 4),
    _any(r"heart attack, heart failure, cardiac arrest, myocardial infarct, angina\b, pulseless, no pulse"),
    _any("tamponade, aortic dissection, pulmonary embol"),
    # Breathing
    _near(f"{NOT}|trouble|difficult|struggl|hard|short|stop|unable|fight|labou?red|barely", "breath", 4),
    _near("lips?|face|skin|fingers?|tongue", "blu|grey|gray", 3),
    _any(
        "breathless, gasp, chok(?:ing|ed), suffocat, stridor, dyspn, cyanos, asthma attack, drown, turn(?:ing|ed) blue"
    ),
    # Stroke
    _near("face|facial|mouth|smile|eyelid", "droop|dropp|lopsided|crooked|sagg|numb|paraly|one side", 4),
    _near("speech|speak|words|talk", "slur|garbl|trouble|unable|can'?t|cannot|jumbled", 4),
    _near("arms?|legs?|one side|left side|right side|half of", "weak|numb|paraly|lift|raise|can'?t move", 5),
    _any(r"los[st]\w* (?:of )?(?:my |his |her )?(?:vision|sight), (?:vision|sight) loss"),
    _near("can'?t|cannot", "feel my (?:arm|leg)|see (?:out of|with|from) (?:one|my)"),
    _near("sudden", "numb|weak|blind|confus|dizz|vision|see|speech|balance|collapse"),
    _near("sudden|severe|worst|unbearable|excruciating|thunderclap", "headache|pain|abdom|stomach|belly"),
    _any(r"strokes?\b(?! volume), heat ?stroke, transient isch, hemipleg, hemipares, aphasi"),
    # Consciousness
    _any(r"unconscious, unrespons, pass(?:ed|ing)? out, black(?:ed)? out, faint(?:ed|ing)?\b, collaps, coma\b, syncop"),
    _any(rf"(?:{NOT}|hard to|difficult to|unable to) (?:be )?(?:wak|rous|respond), unrous, letharg"),
    _any(r"confus(?:ed|ion), deliri, disorient, not making sense, seizures?\b, convuls, epileptic fit, eclampsi"),
    _any(r"having (?:a fit|fits), fitting\b, status epilepticus"),
    # Bleeding
    _near("severe|heav|uncontroll|profuse|stop|lots|a lot|pouring|spurt|soak|massive", "bleed|blood|ha?emorrhag", 5),
    _near("vomit|cough|throw|threw|spit|pass|poo|stool", "blood", 4),
    _any("bleed(?:s|ing) out, blood everywhere, coffee grounds"),
    _any(r"ha?ematemes, ha?emoptys, mel[ae]na\b, black stool, (?:black )?tarry"),
    # Allergy
    _near("throat|tongue|lips?|airway|face", "swell|swollen|clos", 5),
    _any("anaphyla, severe allergic, angio-?o?edema"),
    # Self-harm, overdose, poison
    _any("suicid, self[- ]?harm, end(?:ing)? (?:(?:my|his|her|their) life|it all), no reason to live, better off dead"),
    _any(r"(?:kill|hurt|harm|cutt?|hang|shoot)(?:ing)? (?:(?:my|him|her|your|one)self|themselves)"),
    _any(
        r"(?:cut|slit)(?:ting)? (?:my|his|her|their) wrists?, jump(?:ing)? (?:off|from) (?:a|the) (?:bridge|roof|build)"
    ),
    _any("(?:want|wish|going)(?:s|ed)? (?:to )?(?:die|be dead|i was dead|i were dead), (?:don'?t|not) want to live"),
    _near("took|tak(?:e|en|ing)|swallow|ate|dr[aiu]nk", TAKEN, 5),
    _any(r"overdos, poison, carbon monoxide, snake ?bit, antifreeze, ingested\b, nerve agent, organophosph"),
    # Children, infection, pregnancy
    _near(BABY, "fever|temperature|hot|floppy|limp|not feeding|won'?t feed|not breathing|blue|rash|cry", 9),
    _near("stiff neck|neck (?:is )?stiff|neck stiffness", "fever|headache|light|rash|vomit", 9),
    _near("rash", "fade|blanch|purple|glass|bruis", 7),
    _near("pregnan|postpartum", "bleed|seiz|headache|severe pain|vision|not moving|stopped moving", 9),
    _any(
        r"mening, sepsis, septic, mottled, waters? (?:have )?broke, cord prolapse, in labou?r\b, giving birth, ectopic"
    ),
    # Injury, heat, metabolism
    _near("head|neck|spine|spinal", "injur|trauma|hit|bang|struck|fell|fractur|broke", 6),
    _near("severe|deep|chemical|electric|third-degree|large|boiling", "burns?|burnt|scald|wound|cut|gash", 3),
    _any(r"stabbed, gun ?shot, shot (?:in|him|her|me)\b, car (?:accident|crash), (?:run|knocked) over, amputat"),
    _any(r"hit by (?:a|the) (?:car|bus|train|truck|lorry), f[ae]ll(?:en)? (?:\w+ )?(?:from|off|down) (?:a|the) "),
    _any("electrocut, electric shock, hypotherm, ketoacidosis, hypoglyc, blood sugar (?:is )?(?:very|too)"),
    _any("testicular torsion"),
    _any(r"ambulance, emergency, dying\b, paramedic, life[- ]threat, call (?:911|999|112)"),
    # German, Spanish, French, without their accents
    _any(r"brustschmerz, schmerz\w* in der brust, druck auf der brust, atemnot, keine luft, nicht (?:mehr )?atmen"),
    _any("schlaganfall, herzinfarkt, bewusstlos, ohnmacht, krampfanfall, stark(?:e|en)? blut, blutet (?:sehr )?stark"),
    _any("erstick, suizid, selbstmord, umbringen, nicht mehr leben, uberdosis, vergift, notfall, notarzt, anaphylak"),
    _any(
        r"dolor (?:\w+ )?(?:en|de) (?:el )?pecho, puedo respirar, puede respirar, falta de aire, dificultad para resp"
    ),
    _any(r"infarto, ictus\b, derrame cerebral, inconscien, sangra (?:mucho|abundante), no para de sangrar, matarme"),
    _any("quitarme la vida, quiero morir, sobredosis, envenen, se (?:ahoga|asfixia), emergencia, se desmay"),
    _any(r"(?:douleur|mal) (?:\w+ )?(?:a la|dans la) poitrine, respire (?:plus|pas), (?:plus|pas|mal) (?:a )?respirer"),
    _any(r"avc\b, crise cardiaque, saigne (?:beaucoup|abondamment), hemorragie, evanoui, etouff, me tuer, en finir\b"),
    _any(r"envie de mourir, surdose, empoisonn, intoxication, urgence, samu\b"),
    # Chinese
    "胸[口部]?.{0,4}[疼痛闷]|呼吸困难|喘不[过上]气|中风|卒中|心脏病发作|心梗|心肌梗死|昏迷|失去意识|晕倒|昏倒|抽搐|癫痫发作|大出血|流血不止|"
    "[吐咳]血|自杀|不想活|想死|服药过量|吃了.{0,6}(?:整瓶|太多)|中毒|过敏性休克|窒息|急救",
)
SIGNS = re.compile("|".join(WORDS))
APOSTROPHES = str.maketrans("‘’ʼ´`", "'''''")


def sounds_like_one(text: str) -> bool:
    """Whether any sign of an emergency is in the text."""
    bare = unicodedata.normalize("NFKD", text.casefold().translate(APOSTROPHES))
    plain = "".join(sign for sign in bare if not unicodedata.combining(sign))
    return SIGNS.search(" ".join(plain.split())) is not None
