"""Ids made from what devices call themselves, and marks of devices."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sensors.identity import identifier_mark, is_sensor_id, mac_mark, sensor_id, serial_mark


@pytest.mark.parametrize(
    ("text", "expected"),
    [("cam-1", "cam-1"), ("Kitchen_Cam", "kitchen-cam"), ("0x00158d0001a2b3c4", "0x00158d0001a2b3c4")],
)
def test_case_and_underscores_are_folded(text: str, expected: str) -> None:
    assert sensor_id(text) == expected


def test_what_loses_more_carries_a_mark_of_the_original() -> None:
    one, two = sensor_id("Küche: Kamera"), sensor_id("Küche/ Kamera")
    assert one != two
    assert one.startswith("k-che-kamera-")
    assert sensor_id("x" * 64) != sensor_id("x" * 65)


@given(st.text(max_size=200))
def test_any_text_makes_one_valid_id(text: str) -> None:
    assert is_sensor_id(sensor_id(text))
    assert sensor_id(text) == sensor_id(text)


@pytest.mark.parametrize("text", ["AA:BB:CC:00:11:22", "aa-bb-cc-00-11-22", " aabbcc001122 "])
def test_every_form_of_a_hardware_address_is_one_mark(text: str) -> None:
    assert mac_mark(text) == identifier_mark(text) == "mac:aabbcc001122"


@pytest.mark.parametrize("text", ["", "door", "00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff", "aabbcc00112"])
def test_what_is_no_hardware_address_is_no_mark(text: str) -> None:
    assert mac_mark(text) == ""


@pytest.mark.parametrize("text", ["", "0", "Unknown", " none "])
def test_a_serial_number_that_means_none_is_no_mark(text: str) -> None:
    assert serial_mark(text) == ""


def test_other_identifiers_are_marks_of_their_own() -> None:
    assert identifier_mark("Zigbee_1") == "id:zigbee_1"
    assert serial_mark("SN-12") == "serial:sn-12"
    assert identifier_mark(" ") == ""
