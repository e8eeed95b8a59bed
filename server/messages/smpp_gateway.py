"""A gateway over SMPP whose receipts, and people's replies, are noted."""

from server.messages.delivery_receipts import DeliveryReceipts, ReportedDelivery
from server.messages.smpp import Receipt, Reply, SmppGateway, SmppSettings, phones_of, said_of


def smpp_gateway(settings: SmppSettings, receipts: DeliveryReceipts) -> SmppGateway:
    """A gateway to this SMSC; use it with `async with`.

    Args:
        settings: which SMSC.
        receipts: notes what it says of messages, and what people reply.
    """

    async def on_receipt(receipt: Receipt) -> None:
        if (said := said_of(receipt.state)) is None:  # on its way
            return
        ids = tuple(filter(None, (receipt.message_id, receipt.also_as)))
        # One of the two addresses is our own number.
        theirs = [it for it in receipt.addresses if not settings.source or it.lstrip("+") != settings.source]
        phones = tuple(phone for it in theirs for phone in phones_of(it, settings.country_code))
        await receipts.take(ReportedDelivery(ids, said, phones, receipt.submitted, settings.receipt_ids))

    async def on_reply(reply: Reply) -> None:
        if phones := phones_of(reply.address, settings.country_code):
            await receipts.reply(phones[-1], reply.text)

    return SmppGateway(settings, on_receipt, on_reply)
