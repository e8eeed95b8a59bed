"""A store that fits this set-up: opened by the server and by every command beside it."""

from server.errors import SetupError
from server.keys import Pepper
from server.settings import Settings
from server.store import Store, connect


async def open_store(settings: Settings) -> Store:
    """The store of these settings.

    Raises:
        SetupError: nothing answers, or it was filled under another pepper: nobody in it could be found.
    """
    store = Store(await connect(settings.redis_url), settings.offset_ms, settings.replicas)
    if not await store.agree_on_pepper(Pepper(settings.pepper).mark):
        await store.close()
        raise SetupError(
            "this store was filled under another JIAOHAO_SECRET: give that one (or, after a rotation, the oldest as "
            "JIAOHAO_PEPPER), else nobody in it can be found"
        )
    return store
