"""Residents of Tianhe who may register, and a few who may not."""

from tests.support.serving import person

PEOPLE = 60
TOO_SOON, OF_BAIYUN, COMPLETE, UNKNOWN = (person(i) for i in (900, 901, 902, 903))
