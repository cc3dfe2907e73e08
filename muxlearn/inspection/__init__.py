"""Displays of predictions, of speed against accuracy, and of the influence of companions."""

from muxlearn.inspection._entities import EntityDisplay
from muxlearn.inspection._interference import InterferenceDisplay
from muxlearn.inspection._plotting import scale_n_mux
from muxlearn.inspection._slots import SlotDisplay
from muxlearn.inspection._tradeoff import TradeoffDisplay

__all__ = ["EntityDisplay", "InterferenceDisplay", "SlotDisplay", "TradeoffDisplay", "scale_n_mux"]
