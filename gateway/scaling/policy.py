"""When to add a lane, retire one, or pause admission: the policy of scaling. Pure."""

from __future__ import annotations
