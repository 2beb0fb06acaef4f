"""Short keys of Home Assistant discovery and what they stand for: only those that this gateway reads.

Home Assistant knows some 270; the others name things that are no input of a
model (covers, locks, colours) and pass unread. The same short key means one
thing in an entity, another in ``device`` or ``origin``, hence three tables.
"""

from __future__ import annotations

from types import MappingProxyType

ENTITY = MappingProxyType(
    {
        "avty": "availability",
        "avty_mode": "availability_mode",
        "avty_t": "availability_topic",
        "avty_tpl": "availability_template",
        "cmps": "components",
        "cont_type": "content_type",
        "dev": "device",
        "dev_cla": "device_class",
        "e": "encoding",
        "exp_aft": "expire_after",
        "img_e": "image_encoding",
        "img_t": "image_topic",
        "migr_discvry": "migrate_discovery",
        "o": "origin",
        "p": "platform",
        "pl_avail": "payload_available",
        "pl_not_avail": "payload_not_available",
        "pl_off": "payload_off",
        "pl_on": "payload_on",
        "stat_t": "state_topic",
        "t": "topic",
        "uniq_id": "unique_id",
        "unit_of_meas": "unit_of_measurement",
        "url_t": "url_topic",
        "val_tpl": "value_template",
    }
)
"""Of entities, of the root of a message, and of the members of an availability list."""

DEVICE = MappingProxyType(
    {
        "cns": "connections",
        "cu": "configuration_url",
        "hw": "hw_version",
        "ids": "identifiers",
        "mdl": "model",
        "mdl_id": "model_id",
        "mf": "manufacturer",
        "sa": "suggested_area",
        "sn": "serial_number",
        "sw": "sw_version",
    }
)

ORIGIN = MappingProxyType({"sw": "sw_version", "url": "support_url"})
