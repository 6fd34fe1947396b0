"""Answers that earlier graders read wrongly, silently: each kind stays graded as a careful reader grades it."""

import pytest

from tests.test_scoring import graded

CURB = "A man of 68 has pneumonia, confusion, urea 9.2 mmol/L, RR 24/min and BP 118/72. What is his CURB-65 score?"
DRUGS = {"A": "Aspirin", "B": "Heparin", "C": "Warfarin", "D": "Insulin"}
DUAL = {"A": "Aspirin", "B": "Aspirin and clopidogrel", "C": "Heparin"}
SEROLOGY = {"A": "HBsAg (+), anti-HBs (-)", "B": "HBsAg (-), anti-HBs (+)", "C": "HBsAg (-), anti-HBs (-)"}
LUNG = {"A": "Pneumonia", "B": "Pulmonary embolism", "C": "Asthma", "D": "COPD"}

WHICH = "Which of the following is the most critical factor in planning her management?"
FACTORS = {"A": "Hypertension", "B": "Obesity", "C": "Patient age", "D": "Surgical correction"}
YES_NO_MAYBE = {"A": "yes", "B": "no", "C": "maybe"}
MOSSY = "Terminals show immunoreactivity.\n\ndo mossy fibers release gaba?"

NUMBERS = [
    (CURB, "Confusion gives a score of 1 and urea gives a score of 1, so the total is 2.", "2"),
    (CURB, "意识障碍得1分，尿素得1分，年龄得1分，总分为3分。", "3"),
    (CURB, "The urea value is 9.2 mmol/L, which scores 1, giving a total score of 3.", "3"),
    (CURB, "The score is 2, no wait, the score is 3.", "3"),
    (CURB, "Der Score ist 2, nein, der Score ist 3.", "3"),
    (CURB, "Total = 3. Severe (score 3-5).", "3"),
    (CURB, "Final answer: 3 (severe; admit to intensive care if the score is 4 or 5).", "3"),
    (CURB, "The score is 4. Wait, RR is only 24, so it is 3.", "3"),
    (CURB, "Score: 3. With a score of 2, outpatient treatment would do.", "3"),
    (CURB, "3 of 5", "3"),
    ("What is the sensitivity in %?", "0.90 or 90%", "90"),
    ("What is the eGFR?", "The eGFR is 58 mL/min/1.73 m².", "58"),
    ("What is the BMI?", "22.86 kg/m^2", "22.86"),
    ("What is the absolute neutrophil count?", "480/mm^3", "480"),
    ("What is the concentration in %?", "1/2 %", "0.5"),
]
CHOICES = [
    (DRUGS, "答案是C", "C"),
    (DRUGS, "正确答案为C", "C"),
    (DRUGS, "故选C", "C"),
    (DRUGS, "선택: C", "C"),
    (DRUGS, "The answer is A, C.", None),
    (DRUGS, "答案：A、C", None),
    (DUAL, "Aspirin plus clopidogrel", "B"),
    (DUAL, "Clopidogrel & aspirin", "B"),
    (SEROLOGY, "HBsAg (-), anti-HBs (+)", "B"),
    (DRUGS, "Respuesta: B", "B"),
    (DRUGS, "Antwort: B", "B"),
    (DRUGS, "Ответ: А", "A"),
    (DRUGS, "选B", "B"),
    (DRUGS, "选项B", "B"),
    (LUNG, "B. Pulmonary embolism\n\n### Query:\nA man of 60.\n### Answer:\nC.", "B"),
    (LUNG, "B. Pulmonary embolism\n\nQuestion: And this one?\nAnswer: C", "B"),
    (LUNG, "B. Pulmonary embolism\nUser: And now?\nAssistant: C", "B"),
]
OPEN = [
    ("Mitral regurgitation", "Aortic stenosis is unlikely to explain this; it is mitral regurgitation.", True),
    ("Aortic stenosis", "It is unlikely that aortic stenosis explains this; it is mitral regurgitation.", False),
    ("normal volume, no involuntary contractions", "normal volume and involuntary contractions", False),
    ("normal volume, no involuntary contractions", "normal volume and no involuntary contractions", True),
    ("decreased preload", "decreased afterload and increased preload", False),
    ("decreased preload", "increased afterload and decreased preload", True),
    ("epinephrine", "Diphenhydramine; epinephrine is only needed if the airway is compromised.", False),
    ("95%", "85% (95% CI 80–90%)", False),
    ("No", "Yes. There is no contraindication.", False),
]
REASONED = [  # of a model of 1.5B parameters
    (FACTORS, WHICH, "The most critical factor is her obesity. It leads to hypertension and rises with the age.", "B"),
    (FACTORS, WHICH, "The most critical factor is obesity or hypertension. Obesity leads to hypertension.", None),
    (FACTORS, WHICH, "The cause of all this is endocrine, making option A the correct answer.", "A"),
    (
        FACTORS,
        WHICH,
        "Give her vitamins. However, if the bowlegs worsen, surgical correction might be necessary.",
        None,
    ),
    (YES_NO_MAYBE, MOSSY, "Based on the context, mossy fibers do release GABA. The passage states it for rats.", "A"),
    (YES_NO_MAYBE, MOSSY, "We can conclude that the mossy fibers do not release GABA in any of these rats here.", "B"),
    (
        YES_NO_MAYBE,
        MOSSY,
        "To determine whether mossy fibers do release GABA, we need to look at the passage first.",
        None,
    ),
    (YES_NO_MAYBE, MOSSY, 'It is not clear either way in these rats, so "maybe" seems the best choice.', "C"),
]


@pytest.mark.parametrize(("question", "text", "number"), NUMBERS)
def test_the_number_is_the_result(question, text, number):
    grade = graded({"kind": "number", "question": question, "answer": number}, text)
    assert (grade.extracted, grade.correct) == (number, True)


@pytest.mark.parametrize(("options", "text", "letter"), CHOICES)
def test_the_option_is_the_one_stated(options, text, letter):
    record = {"kind": "choice", "question": "Which?", "options": options, "answer": "A"}
    assert graded(record, text).extracted == letter


@pytest.mark.parametrize(("options", "question", "text", "letter"), REASONED)
def test_a_reasoned_answer_states_what_it_says_of_the_question(options, question, text, letter):
    record = {"kind": "choice", "question": question, "options": options, "answer": "A"}
    assert graded(record, text).extracted == letter


@pytest.mark.parametrize(("answer", "text", "correct"), OPEN)
def test_a_short_answer_is_asserted(answer, text, correct):
    record = {"kind": "open", "question": "What is it?", "answer": answer, "response": "It is."}
    assert graded(record, text).correct == correct
