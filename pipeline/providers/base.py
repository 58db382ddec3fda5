"""How to add a provider. What it is to the others stands in `pipeline/provider_protocol.py`; its author has it from here.

A provider turns sound into text, or text into sound, or both. It is one file in this folder; the file's name is the
provider's kind. To add one:

1. write `pipeline/providers/<kind>.py` with a function `open_provider(config, engines) -> Provider`;
2. give it a `Transcriber`, a `Speaker`, or both, with exactly the attributes of `pipeline/provider_protocol.py`;
3. raise nothing but `ProviderError` and its children from `hear` and `speak` (or `UnsupportedValue` for a parameter of the
   caller's that nobody could serve): a vendor's exception never leaves its file;
4. import the vendor's library there and nowhere else. The folder is listed without importing, so a process that never
   uses the provider never loads it.

`config` is the table `[providers.<name>]` of the catalog, with secrets already filled in. Opening a provider must be
cheap: no model is loaded and no process is started before the first call. `tests/contracts/test_providers.py` finds the
new file by itself.

Some things are optional for a `Transcriber`, and looked for by name. A `HearsFiles` takes whole files untouched, which spares
decoding them. A `Particular` one wants other chunks than those of `profile` for some models, a `Live` one where somebody reads
while it is heard. An `Aligner` lays a text that somebody else heard over its sound.
A `Speaker` that learns from the answer which model has spoken returns a `Voice` instead of a bare iterator. And a file may have a
function `check(config)`, which raises CatalogBroken for settings that cannot work: the catalog asks it when the service starts.
With a function `hears(config, model)` it says which languages that model hears, as a tuple of ISO 639 codes, and is never asked for
others; without one, or with an empty tuple, the list of the catalog's model counts. It opens nothing and loads nothing.
With a function `pace(model)` it says how many seconds of work a second of sound usually is, until that has been measured.
With a function `trouble(config)` it tells what keeps it from working on this machine and what to do, or nothing: `doctor` asks it.

A local provider computes on this machine and belongs to the cpu workers; if it holds the GIL, has global state or is large, it
works through an `Engine` (pipeline/engines), which `engines.open` gives. A remote one waits for somebody else's machine and belongs
to the io workers. Both are called from any thread, several at once. What takes seconds to load is loaded by `Provider.warm`.
"""

from pipeline.provider_protocol import (
    OPENAI_VOICES as OPENAI_VOICES,
)
from pipeline.provider_protocol import (
    FileRefused as FileRefused,
)
from pipeline.provider_protocol import (
    HearsFiles as HearsFiles,
)
from pipeline.provider_protocol import (
    Live as Live,
)
from pipeline.provider_protocol import (
    Particular as Particular,
)
from pipeline.provider_protocol import (
    Provider as Provider,
)
from pipeline.provider_protocol import (
    Speaker as Speaker,
)
from pipeline.provider_protocol import (
    Takes as Takes,
)
from pipeline.provider_protocol import (
    Transcriber as Transcriber,
)
from pipeline.provider_protocol import (
    Voice as Voice,
)
from pipeline.provider_protocol import (
    phrases as phrases,
)
