"""Words that one in ten questions of MedQA, MedMCQA or medical-o1 has: of stock phrases."""

WORDS = """
a abdominal after ago also an and any appropriate are as at based be because been best blood brought but by
c care cause chest clinical comes condition count day days department diagnosis dl does during emergency
exam examination f fever findings following for from g had has have he heart her hg his history hours
hypertension in include is l laboratory last left likely lower man management medical medications mg min mm
mmhg month months most mother next no normal not of old on or over pain past patient physical physician
presents pressure pulse rate reports respirations respiratory reveals right room s serum several she show
shows significant signs started step studies symptoms temperature that the there these this time to
treatment up vital was week weeks weight well what when which with within woman would year years
"""
STOCK_WORDS = frozenset(WORDS.split())
