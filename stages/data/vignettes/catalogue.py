"""The scores of the built-in source. A new one is an entry in a file, and a line here."""

from stages.data.vignettes.cardiology import CHA2DS2_VASC, HAS_BLED
from stages.data.vignettes.hepatology import CHILD_PUGH
from stages.data.vignettes.infection import MCISAAC, QSOFA, SIRS
from stages.data.vignettes.neonatology import APGAR
from stages.data.vignettes.neurology import ABCD2, GLASGOW_COMA
from stages.data.vignettes.respiratory import CURB_65, STOP_BANG
from stages.data.vignettes.score import Score
from stages.data.vignettes.thrombosis import PERC, WELLS_DVT, WELLS_PE

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
