"""Look at what an estimator says, at what it costs, and at how far companions sway it."""

from muxlearn.inspection._entities import EntityDisplay
from muxlearn.inspection._interference import InterferenceDisplay
from muxlearn.inspection._plotting import scale_n_mux
from muxlearn.inspection._slots import SlotDisplay
from muxlearn.inspection._tradeoff import TradeoffDisplay

__all__ = ["EntityDisplay", "InterferenceDisplay", "SlotDisplay", "TradeoffDisplay", "scale_n_mux"]
