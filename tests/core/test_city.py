"""The city file: Guangzhou's is the announcement, another city is another file, a mistake is named."""

from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import pytest

from server.core.city import City, CityError, load_city
from server.core.districts import District
from server.core.periods import Period, day_periods
from server.core.policy import Policy
from server.core.service import Service
from server.core.sms import QuietHours, Sms
from server.core.windows import Window
from tests.support import SUPPORT

SMALL = SUPPORT / "cities" / "small.toml"

# domain.md, "Districts": code, zh, en, hours of the window, census 2020.
GUANGZHOU = [
    ("440106", "天河区", "Tianhe", (8, 12), 2_241_826),
    ("440111", "白云区", "Baiyun", (8, 12), 3_742_991),
    ("440105", "海珠区", "Haizhu", (12, 16), 1_819_037),
    ("440113", "番禺区", "Panyu", (12, 16), 2_658_397),
    ("440118", "增城区", "Zengcheng", (12, 16), 1_466_331),
    ("440104", "越秀区", "Yuexiu", (16, 20), 1_038_643),
    ("440103", "荔湾区", "Liwan", (16, 20), 1_238_305),
    ("440114", "花都区", "Huadu", (16, 20), 1_642_360),
    ("440115", "南沙区", "Nansha", (16, 20), 846_584),
    ("440117", "从化区", "Conghua", (16, 20), 717_684),
    ("440112", "黄埔区", "Huangpu", None, 1_264_447),
]


@pytest.fixture(scope="module")
def guangzhou() -> City:
    return load_city()


@pytest.fixture(scope="module")
def small() -> City:
    return load_city(SMALL)


def district(city: City, code: str) -> District:
    found = city.district(code)
    assert found is not None
    return found


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_guangzhou_has_the_announced_districts_and_windows(guangzhou: City) -> None:
    found = [
        (d.code, d.name_zh, d.name_en, next(((w.opens, w.closes) for w in d.windows), None), d.population)
        for d in guangzhou.districts
    ]
    assert found == [
        (code, zh, en, hours and (time(hours[0]), time(hours[1])), population)
        for code, zh, en, hours, population in GUANGZHOU
    ]
    assert [d.no for d in guangzhou.districts] == list(range(1, 12))
    assert sum(d.population for d in guangzhou.districts) == 18_676_605
    assert (guangzhou.name_zh, guangzhou.name_en, guangzhou.timezone) == (
        "广州市",
        "Guangzhou",
        "Asia/Shanghai",
    )
    assert guangzhou.open_hours == Window(opens=time(8), closes=time(20))


def test_guangzhou_has_the_announced_phases(guangzhou: City) -> None:
    assert [
        (p.starts, p.ends, p.min_days_since_first_dose, p.first_doses, p.priority_first_dose_before)
        for p in guangzhou.phases
    ] == [
        (date(2021, 6, 19), date(2021, 6, 21), 36, False, None),
        (date(2021, 6, 22), date(2021, 6, 30), 0, False, date(2021, 6, 9)),
        (date(2021, 7, 1), None, 0, True, None),
    ]
    assert all(p.rule_zh.endswith("。") and p.rule_en.endswith(".") for p in guangzhou.phases)
    assert not any("\n" in p.rule_zh + p.rule_en for p in guangzhou.phases)


def test_guangzhou_has_the_products_of_the_guideline(guangzhou: City) -> None:
    assert {name: (p.doses, p.min_interval_days) for name, p in guangzhou.products.items()} == {
        "inactivated": (2, 21),
        "cho": (3, 28),
        "adenovirus": (1, None),
    }


def test_guangzhou_states_the_whole_policy(guangzhou: City) -> None:
    assert guangzhou.policy == Policy(
        draw_seconds=120,
        claim_seconds=300,
        pass_seconds=600,
        grace_seconds=600,
        rate_per_second=100.0,
        max_active=30_000,
        poll_floor_seconds=5,
        poll_ceiling_seconds=600,
        poll_budget_per_second=1500,
        no_show_limit=2,
        lead_days=2,
        retention_days=90,
    )
    assert guangzhou.policy == Policy()


def test_guangzhou_states_the_periods_and_the_words_of_the_messages(guangzhou: City) -> None:
    assert list(guangzhou.periods.items()) == [
        ("am", Period(time(8, 30), time(12), "上午", "Morning")),
        ("pm", Period(time(14), time(17), "下午", "Afternoon")),
    ]
    assert guangzhou.periods == day_periods({})
    assert guangzhou.sms.signature == "【广州健康通】"
    zh, en = (guangzhou.sms.code_text(language, "012345") for language in ("zh", "en"))
    assert zh == "【广州健康通】验证码012345，5分钟内有效，请勿告诉他人。"
    assert en == "【广州健康通】Code 012345, good for 5 minutes. Tell nobody."


# By hand, letter by letter: what a resident reads, with 张三 of the longest registration number.
WORDS = {
    "name": "张*", "no": "106190100000013", "date": "6月21日（周一）", "time": "08:30-12:00", "site": "体育中心",
    "cancel_before": "6月20日20:00", "reached": "2021年5月1日",
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("registered", "张*已登记，登记号106190100000013。每晚按第一剂日期安排，有结果即发短信，不必守候。拒收回TD"),
        ("allotted", "张*，请于6月21日（周一）08:30-12:00带身份证到体育中心接种。不能来的，请在6月20日20:00前上网取消；"
                     "不取消又不来，会记一次爽约。"),
        ("waiting", "张*，名额不足，还没有轮到您。您仍在排队，不必重新登记。已排到的第一剂日期：2021年5月1日。"
                    "有结果即发短信。"),
        ("reminder", "张*，提醒您6月21日（周一）08:30-12:00带身份证到体育中心接种。不能来的，"
                     "请在6月20日20:00前上网取消，以免记爽约。"),
        ("cancelled", "张*，登记106190100000013已取消，不必前往。需要时可在开放时段重新登记。"),
        ("closed", "张*，体育中心6月21日（周一）08:30-12:00停诊，请不要前往。这不算爽约，"
                   "会优先为您另排时间，有结果即发短信。"),
        ("barred", "张*，您多次预约后没有来也没有取消，不能再上网预约。请找接种点工作人员办理。"),
    ],
)  # fmt: skip
def test_guangzhous_messages_say_what_to_do(guangzhou: City, kind: str, says: str) -> None:
    assert guangzhou.sms.text(kind, "zh", WORDS) == "【广州健康通】" + says
    english = guangzhou.sms.text(kind, "en", WORDS)
    assert english.isascii() is False and english.removeprefix("【广州健康通】").startswith("张*: ")


def test_guangzhous_messages_of_one_sms(guangzhou: City) -> None:
    one = {kind for kind in ("registered", "waiting", "cancelled", "barred", "closed", "allotted", "reminder")
           if len(guangzhou.sms.text(kind, "zh", WORDS)) <= 70}  # fmt: skip
    assert one == {"registered", "waiting", "cancelled", "barred", "closed"}


def test_when_and_how_fast_messages_go(guangzhou: City) -> None:
    sms = guangzhou.sms
    assert sms.quiet_hours == QuietHours(time(21), time(8))
    assert (sms.reminder_at, sms.per_second, sms.per_phone_a_day, sms.tries) == (time(10), 1000, 50, 10)
    assert (sms.parts_zh, sms.parts_en) == (2, 3)


@pytest.mark.parametrize(
    ("hours", "quiet", "loud"),
    [
        (QuietHours(time(21), time(8)), ["21:00", "23:59:59", "00:00", "07:59:59"], ["20:59:59", "08:00", "12:00"]),
        (QuietHours(time(1), time(6)), ["01:00", "05:59:59"], ["00:59:59", "06:00", "23:00"]),
        (QuietHours(), [], ["00:00", "03:00", "12:00", "23:59:59"]),
        (QuietHours(time(0), time(0)), [], ["00:00", "12:00"]),
    ],
)
def test_quiet_hours_go_over_midnight(hours: QuietHours, quiet: list[str], loud: list[str]) -> None:
    assert all(time.fromisoformat(t) in hours for t in quiet)
    assert not any(time.fromisoformat(t) in hours for t in loud)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('registered_zh = "您已登记。"', "sms.registered_zh: expected a text with {no}, perhaps {name} and nothing"),
        ('allotted_zh = "{date}{time}{site}"', "sms.allotted_zh: expected a text with {date}, {time}, {site} and"),
        ('barred_en = "{phone}"', "sms.barred_en: expected a text perhaps {name} and {no} and nothing else in braces"),
        ('closed_en = "{date} {time} {site:>9}"', "sms.closed_en: expected a text with {date}, {time} and {site}"),
        ('waiting_en = "{reached"', "sms.waiting_en: expected a text with {reached}"),
        # Signature 4, number 15, and so many letters: 135, one too many for two SMS of 67.
        (f'cancelled_zh = "{"字" * 116}{{no}}"',
         "sms.cancelled_zh: expected at most 134 characters (2 SMS) with the signature and the longest values"),
        (f'registered_zh = "{"字" * 52}{{no}}"\nparts_zh = 1',
         "sms.registered_zh: expected at most 70 characters (1 SMS) with the signature and the longest values, got 71"),
        (f'cancelled_en = "{"x" * 183}{{no}}"',
         "sms.cancelled_en: expected at most 201 characters (3 SMS) with the signature and the longest values"),
        ("parts_zh = 0", "sms.parts_zh: expected `int` >= 1"),
        ("quiet_hours = { begins = 21:00:00 }", "sms.quiet_hours: expected begins and ends, or neither"),
        ("quiet_hours = { from = 21:00:00 }", "sms.quiet_hours.from: unknown key, expected one of begins, ends"),
        ("reminder_at = 07:59:00", "sms.reminder_at: expected a time outside sms.quiet_hours"),
        ("per_second = 0", "sms.per_second: expected `int` >= 1"),
        ("per_phone_a_day = 0", "sms.per_phone_a_day: expected `int` >= 1"),
        ("tries = 0", "sms.tries: expected `int` >= 1"),
        # A footer counts: with it the message is of 135 letters, one too many.
        (f'cancelled_zh = "{"字" * 108}{{no}}"\nfooter_zh = "咨询12345。"',
         "sms.cancelled_zh: expected at most 134 characters (2 SMS) with the signature and the longest values"),
        ('greeting_zh = "早"', "sms.greeting_zh: unknown key, expected one of signature, code_zh"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_messages_is_named(tmp_path: Path, line: str, message: str) -> None:
    text = SMALL.read_text("utf-8")
    assert text.count("[sms]\n") == 1
    path = tmp_path / "mine.toml"
    path.write_text(text.replace("[sms]\n", f"[sms]\n{line}\n"), "utf-8")
    with pytest.raises(CityError) as refused:
        load_city(path)
    assert str(refused.value).startswith(f"mine.toml: {message}")


def test_the_longest_text_that_fits_is_taken_and_quiet_hours_can_be_switched_off(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    lines = f'cancelled_zh = "{"字" * 115}{{no}}"\nquiet_hours = {{}}\nreminder_at = 07:00:00'
    path.write_text(SMALL.read_text("utf-8").replace("[sms]\n", f"[sms]\n{lines}\n"), "utf-8")
    assert time(3) not in load_city(path).sms.quiet_hours


def test_a_footer_ends_every_message_but_a_code(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    lines = f'cancelled_zh = "{"字" * 107}{{no}}"\nfooter_zh = "咨询12345。"\nfooter_en = " Call 12345."\nparts_en = 4'
    path.write_text(SMALL.read_text("utf-8").replace("[sms]\n", f"[sms]\n{lines}\n"), "utf-8")
    sms = load_city(path).sms
    assert sms.text("cancelled", "zh", {"no": "1" * 15}).endswith("1咨询12345。")
    assert sms.text("barred", "en", {"name": "Li", "no": "1"}).endswith(" Call 12345.")
    assert "12345。" not in sms.code_text("zh", "654321") and "Call" not in sms.code_text("en", "654321")


SERVICE = '[service]\nrun_by_zh = "市卫健委"\nrun_by_en = "Health Commission"\nhotline = "020-12345"\n'


def test_a_city_says_who_runs_it_and_whom_to_ask(tmp_path: Path, guangzhou: City, small: City) -> None:
    assert guangzhou.service is not None and guangzhou.service.hotline == "12345"
    assert small.service is None, "a file of before has no such table"
    path = tmp_path / "mine.toml"
    more = 'hotline_hours = { opens = 08:00:00, closes = 20:00:00 }\nprivacy_url = "https://city.example/privacy"\n'
    path.write_text(f"{SMALL.read_text('utf-8')}\n{SERVICE}{more}", "utf-8")
    assert load_city(path).service == Service(
        "市卫健委", "Health Commission", "020-12345", Window(time(8), time(20)), "https://city.example/privacy"
    )


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('hotline = "ask us"', "service.hotline: expected `str` matching regex"),
        ('hotline = "12"', "service.hotline: expected `str` matching regex"),
        ('hotline = "12345"\nprivacy_url = "http://city.example"', "service.privacy_url: expected `str` matching"),
        ('hotline = "12345"\nprivacy_url = "javascript:alert(1)"', "service.privacy_url: expected `str` matching"),
        ('hotline = "12345"\nhotline_hours = { opens = 20:00:00, closes = 08:00:00 }',
         "service.hotline_hours: expected opens before closes, or no such line"),
        ('hotline = "12345"\nphone = "1"', "service.phone: unknown key, expected one of run_by_zh, run_by_en, hotline"),
        ("", "service.hotline: expected a value, got none"),
    ],
)  # fmt: skip
def test_a_mistake_in_whom_to_ask_is_named(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "mine.toml"
    named = SERVICE.replace('hotline = "020-12345"\n', "")
    path.write_text(f"{SMALL.read_text('utf-8')}\n{named}{line}\n", "utf-8")
    with pytest.raises(CityError) as refused:
        load_city(path)
    assert str(refused.value).startswith(f"mine.toml: {message}")


def test_an_older_file_without_the_newer_tables_still_loads(tmp_path: Path, small: City) -> None:
    blocks = SMALL.read_text("utf-8").split("\n\n")
    path = tmp_path / "older.toml"
    path.write_text("\n\n".join(b for b in blocks if not b.startswith(("[periods]", "[sms]"))), "utf-8")
    older = load_city(path)
    assert (older.periods, older.sms) == (day_periods({}), Sms())
    assert older.districts == small.districts
    assert "广州" not in older.sms.signature  # another city's messages are not signed by Guangzhou


def test_another_city_is_another_file(small: City) -> None:
    assert (small.name_zh, small.name_en, str(small.tz)) == ("海滨镇", "Seaside", "Europe/Lisbon")
    assert [(d.code, d.no, d.rate_per_second, d.max_active) for d in small.districts] == [
        ("north", 1, 0.5, 20),
        ("pier", 7, None, None),
        ("south", 99, None, None),
    ]
    assert small.policy == Policy(draw_seconds=60, rate_per_second=2.0, lead_days=1, retention_days=30)
    assert set(small.products) == {"twice", "once"}


def test_a_district_is_found_by_its_code(guangzhou: City, small: City) -> None:
    assert district(guangzhou, "440117").name_en == "Conghua"
    assert district(small, "pier").no == 7
    assert small.district("440117") is None
    assert guangzhou.district("") is None


@pytest.mark.parametrize(
    ("day", "name"),
    [
        ("2021-06-18", None),
        ("2021-06-19", "phase 1"),
        ("2021-06-21", "phase 1"),
        ("2021-06-22", "phase 2"),
        ("2021-06-30", "phase 2"),
        ("2021-07-01", "phase 3"),
        ("2031-07-01", "phase 3"),
    ],
)
def test_the_phase_of_a_day(guangzhou: City, day: str, name: str | None) -> None:
    phase = guangzhou.phase(date.fromisoformat(day))
    assert (phase and phase.name) == name


def test_no_phase_between_and_after(small: City) -> None:
    assert small.phase(date(2022, 4, 5)) is None
    assert small.phase(date(2022, 4, 21)) is None


@pytest.mark.parametrize(
    ("instant", "is_open"),
    [
        ("2021-06-19T07:59:59.999999+08:00", False),
        ("2021-06-19T08:00:00+08:00", True),
        ("2021-06-19T19:59:59.999999+08:00", True),
        ("2021-06-19T20:00:00+08:00", False),
        ("2021-06-19T00:00:00+00:00", True),
        ("2021-06-18T23:59:59+00:00", False),
    ],
)
def test_maintenance_hours(guangzhou: City, instant: str, is_open: bool) -> None:
    assert guangzhou.is_open_hours(at(instant)) is is_open


def test_a_naive_time_is_refused(guangzhou: City) -> None:
    naive = datetime.fromisoformat("2021-06-19T08:00:00")
    with pytest.raises(ValueError, match="aware"):
        guangzhou.is_open_hours(naive)
    with pytest.raises(ValueError, match="aware"):
        guangzhou.next_opening(guangzhou.districts[0], naive)


def test_opening_times_are_in_the_city_s_time(guangzhou: City) -> None:
    times = guangzhou.opening_times(district(guangzhou, "440105"), date(2021, 6, 20))
    assert times is not None
    assert [t.isoformat() for t in times] == ["2021-06-20T12:00:00+08:00", "2021-06-20T16:00:00+08:00"]


def test_a_district_without_a_window_never_opens(guangzhou: City) -> None:
    huangpu = district(guangzhou, "440112")
    assert guangzhou.opening_times(huangpu, date(2021, 6, 20)) is None
    assert guangzhou.next_opening(huangpu, at("2021-06-20T09:00:00+08:00")) is None


@pytest.mark.parametrize(
    ("after", "opens_at"),
    [
        ("2021-06-20T03:00:00+08:00", "2021-06-20T12:00:00+08:00"),
        ("2021-06-20T11:59:59.999999+08:00", "2021-06-20T12:00:00+08:00"),
        ("2021-06-20T12:00:00+08:00", "2021-06-21T12:00:00+08:00"),
        ("2021-06-30T23:00:00+08:00", "2021-07-01T12:00:00+08:00"),
        ("2021-06-19T16:30:00+00:00", "2021-06-20T12:00:00+08:00"),  # 00:30 of the 20th in the city
    ],
)
def test_the_next_opening_is_strictly_later(guangzhou: City, after: str, opens_at: str) -> None:
    times = guangzhou.next_opening(district(guangzhou, "440105"), at(after))
    assert times == (at(opens_at), at(opens_at) + timedelta(hours=4))


def test_openings_follow_the_clock_change(small: City) -> None:
    north = district(small, "north")
    before = small.opening_times(north, date(2022, 3, 26))
    after = small.opening_times(north, date(2022, 3, 27))
    assert before is not None and after is not None
    assert before[0].astimezone(UTC) == at("2022-03-26T09:30:00+00:00")
    assert after[0].astimezone(UTC) == at("2022-03-27T08:30:00+00:00")
    assert small.is_open_hours(at("2022-03-27T17:00:00+00:00")) is False  # 18:00 by the summer's clock


def test_the_repeated_hour_has_one_opening(small: City) -> None:
    # On 2022-10-30 the clock shows 01:30 twice; the opening is at the first, 00:30 UTC: past at 01:10 UTC.
    after = at("2022-10-30T01:10:00+00:00").astimezone(small.tz)
    assert after.time() == time(1, 10)
    times = small.next_opening(district(small, "pier"), after)
    assert times is not None
    assert times[0].astimezone(UTC) == at("2022-10-31T01:30:00+00:00")


@pytest.mark.parametrize(
    ("day", "before"),
    [
        ("2021-06-21", "2021-06-20T20:00:00+08:00"),  # announcement A8
        ("2021-07-01", "2021-06-30T20:00:00+08:00"),
        ("2022-01-01", "2021-12-31T20:00:00+08:00"),
        ("2024-03-01", "2024-02-29T20:00:00+08:00"),
    ],
)
def test_cancelling_is_open_until_closing_time_of_the_day_before(guangzhou: City, day: str, before: str) -> None:
    assert guangzhou.cancel_before(date.fromisoformat(day)).isoformat() == before


def test_cancelling_ends_by_the_clock_of_the_day_before(small: City) -> None:
    assert small.cancel_before(date(2022, 3, 27)).isoformat() == "2022-03-26T18:00:00+00:00"
    assert small.cancel_before(date(2022, 3, 28)).isoformat() == "2022-03-27T18:00:00+01:00"


def test_appointments_begin_and_end_with_their_period(guangzhou: City, small: City) -> None:
    day = date(2021, 6, 21)
    assert [t.isoformat() for t in guangzhou.period_times(day, "am")] == [
        "2021-06-21T08:30:00+08:00",
        "2021-06-21T12:00:00+08:00",
    ]
    assert [t.isoformat() for t in guangzhou.period_times(day, "pm")] == [
        "2021-06-21T14:00:00+08:00",
        "2021-06-21T17:00:00+08:00",
    ]
    assert small.period_times(day, "pm")[0].isoformat() == "2021-06-21T13:15:00+01:00"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("closes = 11:30:00", "closes = 13:15:00"),  # half-open: one may end as the other begins
        ("opens = 09:00:00", "opens = 11:29:59"),
        ("closes = 16:45:00", "closes = 13:15:01"),
        # 70 code units with the signature and a code: 4 of 【海滨】, 60 others, the six digits.
        ("{code}是验证码，{minutes}分钟有效。", "字" * 59 + "{code}{minutes}"),
        ("{code} is your code for {minutes} minutes.", "a" * 59 + "{minutes}{code}"),
        ("{code}是验证码，{minutes}分钟有效。", "😀" * 29 + "字{code}{minutes}"),
        ("{code} is your code for {minutes} minutes.", "{code} {{twice: {code}}} {minutes}"),
        ('"【海滨】"', '"【海】"'),
        ("retention_days = 30", "retention_days = 1"),
    ],
)
def test_periods_and_messages_may_go_to_their_bounds(tmp_path: Path, small: City, old: str, new: str) -> None:
    text = SMALL.read_text("utf-8")
    assert text.count(old) == 1
    path = tmp_path / "mine.toml"
    path.write_text(text.replace(old, new), "utf-8")
    assert load_city(path) != small


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("draw_seconds = 60", 'draw_seconds = "60"', "policy.draw_seconds: expected `int`, got `str`"),
        ("draw_seconds = 60", "draw_seconds = 0", "policy.draw_seconds: expected `int` >= 1"),
        (
            "draw_seconds = 60",
            "draw_secs = 60",
            "policy.draw_secs: unknown key, expected one of draw_seconds, ",
        ),
        ("rate_per_second = 2\n", "rate_per_second = -1\n", "policy.rate_per_second: expected `float` > 0.0"),
        (
            "rate_per_second = 2\n",
            "rate_per_second = nan\n",
            "policy.rate_per_second: expected `float` > 0.0",
        ),
        (
            "rate_per_second = 2\n",
            "rate_per_second = inf\n",
            "policy.rate_per_second: expected `float` <= 1000000.0",
        ),
        ("lead_days = 1", "lead_days = true", "policy.lead_days: expected `int`, got `bool`"),
        (
            "lead_days = 1",
            "poll_floor_seconds = 601",
            "policy.poll_floor_seconds: expected no more than poll_ceiling_seconds",
        ),
        ('name_en = "Seaside"\n', "", "name_en: expected a value, got none"),
        ('name_en = "Seaside"', 'name_en = ""', "name_en: expected `str` of length >= 1"),
        (
            'name_en = "Seaside"',
            'mayor = "x"',
            "mayor: unknown key, expected one of name_zh, name_en, timezone",
        ),
        (
            '"Europe/Lisbon"',
            '"Europe/Atlantis"',
            "timezone: expected an IANA time zone such as `Asia/Shanghai`, got `Eur",
        ),
        (
            '"Europe/Lisbon"',
            '"Europe"',
            "timezone: expected an IANA time zone such as `Asia/Shanghai`, got `Europe`",
        ),
        (
            '"Europe/Lisbon"',
            '"../etc"',
            "timezone: expected an IANA time zone such as `Asia/Shanghai`, got `../etc`",
        ),
        ("closes = 18:00:00", 'closes = "18:00"', "open_hours.closes: expected `time`, got `str`"),
        ("closes = 18:00:00", "closes = 00:30:00", "open_hours: expected opens before closes"),
        (
            'code = "pier"',
            'code = "north"',
            "districts[1].code: expected a code of its own, got `north` again",
        ),
        ('code = "pier"', 'code = "the pier"', "districts[1].code: expected `str` matching regex"),
        ('code = "pier"', 'code = "pier\\n"', "districts[1].code: expected `str` matching regex"),
        ('code = "pier"', 'code = "码头"', "districts[1].code: expected `str` matching regex"),
        ('code = "pier"', 'code = "p234567890123"', "districts[1].code: expected `str` matching regex"),
        ("no = 7", "no = 1", "districts[1].no: expected a number of its own, got 1 again"),
        ("no = 7", "no = 100", "districts[1].no: expected `int` <= 99"),
        ("no = 7\n", "", "districts[1].no: expected a value, got none"),
        ("closes = 02:30:00", "closes = 01:30:00", "districts[1].window: expected opens before closes"),
        ("opens = 01:30:00", "opens = 00:29:59", "districts[1].window: expected hours inside open_hours"),
        ("closes = 11:00:00", "closes = 18:00:01", "districts[0].window: expected hours inside open_hours"),
        (
            "closes = 02:30:00",
            "closes = 01:31:00",
            "districts[1].window: expected a window longer than policy.draw_seconds",
        ),
        (
            "closes = 02:30:00",
            "shuts = 02:30:00",
            "districts[1].window.shuts: unknown key, expected one of opens, closes",
        ),
        (", closes = 02:30:00", "", "districts[1].window.closes: expected a value, got none"),
        ("ends = 2022-03-31", "ends = 2022-02-28", "phases[0].ends: expected a day not before starts"),
        (
            "ends = 2022-03-31",
            "ends = 2022-04-11",
            "phases[1].starts: expected a day after the end of the phase before it",
        ),
        ("ends = 2022-03-31\n", "", "phases[1].starts: expected a day after the end of the phase before it"),
        (
            "starts = 2022-03-01",
            "starts = 2022-03-01T08:00:00",
            "phases[0].starts: expected `date`, got `datetime`",
        ),
        ("doses = 2", "doses = 0", "products.twice.doses: expected `int` >= 1"),
        (
            "doses = 2",
            "shots = 2",
            "products.twice.shots: unknown key, expected one of name_zh, name_en, doses, min_interval_days",
        ),
        ("doses = 2\n", "", "products.twice.doses: expected a value, got none"),
        (
            "min_interval_days = 10\n",
            "",
            "products.twice.min_interval_days: expected a number of days, as doses is 2",
        ),
        ("doses = 2", "doses = 1", "products.twice.min_interval_days: expected none, as doses is 1"),
        ("retention_days = 30", "retention_days = 0", "policy.retention_days: expected `int` >= 1"),
        ("closes = 11:30:00", "closes = 13:15:01", "periods.pm.opens: expected a time not before periods.am.closes"),
        ("opens = 09:00:00", "opens = 11:30:00", "periods.am: expected opens before closes"),
        ("closes = 16:45:00", "closes = 13:15:00", "periods.pm: expected opens before closes"),
        ("opens = 09:00:00", "starts = 09:00:00", "periods.am.starts: unknown key, expected one of opens, closes"),
        ("pm = { opens = 13:15:00", "evening = { opens = 13:15:00", "periods.evening.name_zh: expected a value, got"),
        ("pm = { opens = 13:15:00", "any = { opens = 13:15:00", "periods.any: expected another code"),
        ("pm = { opens = 13:15:00", "PM = { opens = 13:15:00", "periods: expected codes of small letters"),
        ("opens = 09:00:00", "opens = 9", "periods.am.opens: expected `time`, got `int`"),
        (
            "am = { opens = 09:00:00, closes = 11:30:00",
            "am = { opens = 17:00:00, closes = 18:00:00",
            "periods.pm.opens: expected a time not before periods.am.closes",
        ),
        ('"【海滨】"', '"海滨"', "sms.signature: expected a name in brackets"),
        ('"【海滨】"', '"【】"', "sms.signature: expected a name in brackets"),
        ('"【海滨】"', '"【海滨】你好"', "sms.signature: expected a name in brackets"),
        ('"【海滨】"', '"[Seaside]"', "sms.signature: expected a name in brackets"),
        (
            "{code}是验证码，{minutes}分钟有效。",
            "字" * 60 + "{code}{minutes}",
            "sms.code_zh: expected at most 70 characters (1 SMS) with the signature and the longest values, got 71",
        ),
        (
            "{code} is your code for {minutes} minutes.",
            "a" * 60 + "{code}{minutes}",
            "sms.code_en: expected at most 70 characters (1 SMS) with the signature and the longest values, got 71",
        ),
        (  # an emoji takes two code units
            "{code}是验证码，{minutes}分钟有效。",
            "😀" * 30 + "{code}{minutes}",
            "sms.code_zh: expected at most 70 characters (1 SMS) with the signature and the longest values, got 71",
        ),
        ("{code}是验证码，", "验证码，", "sms.code_zh: expected a text with {code} and {minutes} and nothing else in"),
        ("for {minutes} minutes", "for minutes", "sms.code_en: expected a text with {code} and {minutes}"),
        ("{code} is", "{name}, {code} is", "sms.code_en: expected a text with {code} and {minutes}"),
        ("{code} is", "{code.__class__} is", "sms.code_en: expected a text with {code} and {minutes}"),
        ("{code} is", "{code!r} is", "sms.code_en: expected a text with {code} and {minutes}"),
        ("{code} is", "{code:>9} is", "sms.code_en: expected a text with {code} and {minutes}"),
        ("{code} is", "{code is", "sms.code_en: expected a text with {code} and {minutes}"),
        ("{code} is", "{code} {} is", "sms.code_en: expected a text with {code} and {minutes}"),
        ("lead_days = 1", "lead_days = ", "not TOML: "),
        ("lead_days = 1", "lead_days = 1\nlead_days = 2", "not TOML: "),
    ],
)
def test_a_mistake_is_named_with_file_key_and_expectation(tmp_path: Path, old: str, new: str, message: str) -> None:
    text = SMALL.read_text("utf-8")
    assert text.count(old) == 1
    path = tmp_path / "mine.toml"
    path.write_text(text.replace(old, new), "utf-8")
    with pytest.raises(CityError) as refused:
        load_city(path)
    assert str(refused.value).startswith(f"mine.toml: {message}")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("table", ["districts", "phases"])
def test_an_empty_list_is_a_mistake(tmp_path: Path, table: str) -> None:
    blocks = SMALL.read_text("utf-8").split("\n\n")
    path = tmp_path / "mine.toml"
    path.write_text(f"{table} = []\n" + "\n\n".join(b for b in blocks if f"[[{table}]]" not in b), "utf-8")
    with pytest.raises(CityError, match=rf"^mine\.toml: {table}: expected `array` of length >= 1$"):
        load_city(path)


def test_a_file_that_cannot_be_read_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(CityError, match=r"^gone\.toml: cannot be read: No such file"):
        load_city(tmp_path / "gone.toml")
    path = tmp_path / "gbk.toml"
    path.write_bytes(SMALL.read_text("utf-8").encode("gbk"))
    with pytest.raises(CityError, match=r"^gbk\.toml: expected UTF-8 text, got byte 0x"):
        load_city(path)


def test_a_byte_order_mark_and_dos_line_ends_are_no_mistake(tmp_path: Path, small: City) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(b"\xef\xbb\xbf" + SMALL.read_bytes().replace(b"\n", b"\r\n"))
    assert load_city(path) == small


def test_a_third_period_of_the_day_is_in_its_place_whatever_the_order_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    evening = 'evening = { opens = 18:00:00, closes = 20:30:00, name_zh = "晚上", name_en = "Evening" }'
    noon = 'noon = { opens = 11:30:00, closes = 13:15:00, name_zh = "中午", name_en = "Noon" }'
    path.write_text(SMALL.read_text("utf-8").replace("[periods]\n", f"[periods]\n{evening}\n{noon}\n"), "utf-8")
    city = load_city(path)
    assert list(city.periods) == ["am", "noon", "pm", "evening"]
    assert [city.place_in_day(code) for code in ("pm", "am", "evening", "night")] == [2, 0, 3, 4]
    assert [f"{it:%H:%M}" for it in city.period_times(date(2021, 6, 22), "evening")] == ["18:00", "20:30"]
    assert city.periods["pm"].name_zh == "下午"


def test_an_appointment_of_a_period_that_the_file_has_no_more_is_told_with_the_whole_day(small: City) -> None:
    assert [f"{it:%H:%M}" for it in small.period_times(date(2021, 6, 22), "evening")] == ["09:00", "16:45"]


def test_what_a_file_leaves_out_of_morning_and_afternoon_is_as_in_every_city(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    text = SMALL.read_text("utf-8")
    line = "am = { opens = 09:00:00, closes = 11:30:00 }\n"
    assert text.count(line) == 1
    path.write_text(text.replace(line, ""), "utf-8")
    assert load_city(path).periods["am"] == Period(time(8, 30), time(12), "上午", "Morning")
