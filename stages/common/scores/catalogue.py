"""The scores that questions are drawn from; a new one is an entry in a file by field, and a line here."""

from stages.common.scores.cardiology import CHA2DS2_VASC, HAS_BLED
from stages.common.scores.hepatology import CHILD_PUGH
from stages.common.scores.infection import MCISAAC, QSOFA, SIRS
from stages.common.scores.neonatology import APGAR
from stages.common.scores.neurology import ABCD2, GLASGOW_COMA
from stages.common.scores.respiratory import CURB_65, STOP_BANG
from stages.common.scores.score import Score
from stages.common.scores.thrombosis import PERC, WELLS_DVT, WELLS_PE

SCORES: tuple[Score, ...] = (
    CURB_65,
    CHA2DS2_VASC,
    HAS_BLED,
    QSOFA,
    WELLS_DVT,
    WELLS_PE,
    MCISAAC,
    GLASGOW_COMA,
    PERC,
    ABCD2,
    CHILD_PUGH,
    APGAR,
    SIRS,
    STOP_BANG,
)
