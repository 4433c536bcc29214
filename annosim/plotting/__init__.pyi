from .charts import band as band
from .charts import bars as bars
from .charts import density as density
from .charts import heatmap as heatmap
from .charts import intervals as intervals
from .charts import line as line
from .figures import COLOURS as COLOURS
from .figures import DPI as DPI
from .figures import colour as colour
from .figures import figure as figure
from .figures import label as label
from .figures import legend as legend
from .figures import save as save
from .figures import style as style

__all__ = [
    "COLOURS",
    "DPI",
    "band",
    "bars",
    "colour",
    "density",
    "figure",
    "heatmap",
    "intervals",
    "label",
    "legend",
    "line",
    "save",
    "style",
]
