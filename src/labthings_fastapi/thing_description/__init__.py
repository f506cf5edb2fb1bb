"""The W3C Thing Description as data: paths, forms, a thin model and validation; pure."""

from .dataschema import convert_prefixitems as convert_prefixitems
from .dataschema import type_to_dataschema as type_to_dataschema
