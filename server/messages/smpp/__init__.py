"""Messages handed to an SMSC over SMPP 3.4.

`aiosmpplib` gives the PDUs we send and the names of states and commands. The connection itself is ours: the
library's own (0.7.4) has no TLS, bounds nothing it has not been answered, leaves old connections open, ends where
an answer has a status or a receipt a date it does not know, and writes phones and texts into its log.
"""

from server.messages.smpp.gateway import SmppGateway, SmppState
from server.messages.smpp.incoming import Delivery, Receipt, Reply, phones_of, said_of
from server.messages.smpp.keeper import probe
from server.messages.smpp.settings import SmppSettings, smpp_from_environment
from server.messages.smpp.split import split, units

__all__ = [
    "Delivery",
    "Receipt",
    "Reply",
    "SmppGateway",
    "SmppSettings",
    "SmppState",
    "phones_of",
    "probe",
    "said_of",
    "smpp_from_environment",
    "split",
    "units",
]
