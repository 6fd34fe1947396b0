"""A question that sounds like an emergency gets the line that says so; one that does not is left alone."""

import time

import pytest

from stages.chat import emergency

SIGNS = """
I have crushing chest pain that goes into my left arm
My chest feels tight and I am sweating, what should I do?
A 61-year-old man presents with substernal chest pressure for 40 minutes. What is the next step?
there is a burning pain behind my breastbone
pressure on the chest since this morning
My father is having a heart attack
He has no pulse
She went into cardiac arrest during dialysis
My heart is racing and won't slow down
pain in my jaw and left arm since breakfast
I can’t breathe properly
i cant catch my breath
My daughter is struggling to breathe after eating peanuts
She is short of breath at rest and her oxygen is 84 %
A child with stridor and drooling, first step?
He is choking on a piece of meat
my inhaler does not help and I am having an asthma attack
her lips are turning blue
His lips look bluish and he is cold
One side of her face is drooping
My mum's speech is slurred and she can't find words
I cannot lift my right arm since an hour ago
sudden numbness of the left leg
A 70-year-old woman has weakness of one side, onset 30 minutes ago. Is thrombolysis indicated?
I suddenly lost vision in one eye
I have the worst headache of my life
Thunderclap headache, what is it?
My husband fainted and hit his head
My son is unconscious
Grandma won't wake up
The patient is unresponsive to pain
she just collapsed in the kitchen
A 68-year-old man has pneumonia. He is confused, with urea 9.2 mmol/L
my brother is having a seizure right now
my daughter has been fitting for six minutes
The wound is bleeding heavily and the bleeding won't stop
I am bleeding through a pad every hour, heavy bleeding, is it normal?
He is vomiting blood
I coughed up some blood today
I have had black tarry stools for two days
Is this anaphylaxis?
my tongue is swelling up after a bee sting
My throat is closing
I want to kill myself
I don't want to live any more
I want to die
what is the easiest way to end my life
My friend keeps cutting herself
I took too many paracetamol tablets last night
she swallowed 30 tablets of my blood pressure medicine
My toddler swallowed a button battery
he drank bleach
I think we have carbon monoxide in the house
A farmer was found with miosis after organophosphate exposure
My 3-week-old has a fever of 38.5
my newborn is floppy and not feeding
The baby feels very hot and will not stop crying
fever, stiff neck and light hurts my eyes
There is a rash that does not fade under a glass
Could it be sepsis?
I am 34 weeks pregnant and bleeding
pregnant with a bad headache and blurred vision
my water broke
He fell off a ladder and has a head injury
I was stabbed
my son has a severe burn from boiling water
her blood sugar is very low and she is shaking
I have severe abdominal pain on the right
Should I call an ambulance?
my baby isn't breathing
He is barely breathing
My father doesn't respond
she isnt waking up
I've taken 20 paracetamol
she swallowed a handful of pills
I keep thinking of ending my life
I slit my wrists
I'm going to jump off a bridge
I lost my vision this morning
I can't see out of one eye
can't feel my legs since I fell
he got an electric shock from a socket
fell from the roof
He was hit by a car
he is bleeding out
her vomit looks like coffee grounds
Is it a pulmonary embolism?
Ich habe starke Schmerzen in der Brust
Mein Vater bekommt keine Luft
Meine Frau ist bewusstlos
Ich will mich umbringen
Tengo un dolor fuerte en el pecho
Mi hijo no puede respirar
Quiero morir
J'ai une douleur à la poitrine
Mon père n’arrive plus à respirer
J'ai envie de mourir
我胸口很痛
他昏迷了
我不想活了
孩子抽搐怎么办
""".strip().splitlines()
HARMLESS = """
What is the first-line treatment of essential hypertension?
Which vitamin is deficient in scurvy?
How is metformin cleared from the body?
A girl of 5 with sore throat, tonsillar exudate and tender neck nodes. Find the McIsaac score.
What does the Q-tip test show in stress incontinence?
Which nerve is compressed in carpal tunnel syndrome?
How long is the incubation period of measles?
What is the mechanism of action of omeprazole?
My knee hurts a little after running. Which stretch helps?
Which vaccines does a 12-year-old need?
What is the stroke volume of a healthy adult?
Name the branches of the external carotid artery.
What are the side effects of statins?
How do I read an HbA1c of 6.1 %?
Which antibiotic covers Pseudomonas?
I have had mild hay fever every spring. Are antihistamines safe to drive with?
What is the half-life of levothyroxine?
Explain the difference between type 1 and type 2 diabetes.
Is it normal that my nails have white spots?
How much water should I drink in a day?
Why does aspirin not help against colds?
Which drops are given for a loss of hearing?
Welche Impfungen braucht ein Erwachsener?
¿Qué alimentos tienen mucho hierro?
Quels aliments contiennent du calcium ?
高血压的一线治疗是什么？
""".strip().splitlines()


@pytest.mark.parametrize("text", SIGNS)
def test_a_sign_is_found(text):
    assert emergency.sounds_like_one(text)


@pytest.mark.parametrize("text", HARMLESS)
def test_a_harmless_question_gets_no_line(text):
    assert not emergency.sounds_like_one(text)


@pytest.mark.parametrize("text", SIGNS[:5])
def test_case_blanks_and_line_ends_hide_no_sign(text):
    assert emergency.sounds_like_one(text.upper().replace(" ", " \n\t"))


def test_a_long_text_is_read_in_no_time():
    """No pattern backtracks its way into minutes, whatever it is given."""
    start = time.perf_counter()
    for word in ("chest ", "sudden ", "baby ", "can't ", "a ", "-", "\u0301"):
        emergency.sounds_like_one(word * 20_000)
    assert time.perf_counter() - start < 10


def test_the_line_names_numbers_to_call():
    assert {"112", "911", "999", "988"} <= set(emergency.LINE.replace(":", " ").replace(",", " ").split())
