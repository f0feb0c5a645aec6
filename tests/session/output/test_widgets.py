"""Widgets as text, and bars that come back as the ones that they were."""

from __future__ import annotations

import gc
import io
from contextlib import redirect_stderr, redirect_stdout

from tqdm.notebook import tqdm

from colab_guard.session.output.widgets import WIDGET, living, same_bar, text_of, without_view


def test_a_bar_says_where_it_is_and_where_it_ended_when_it_is_gone() -> None:
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        bar = tqdm(total=4, desc="here")
        container = bar.container
        bar.update(2)
        assert text_of(container).startswith("here:  50%|") and "2/4" in text_of(container)
        bar.update(2)
        bar.close()
        del bar
        gc.collect()
    text = text_of(container)
    assert text.startswith("here: 100%|") and "4/4 [" in text and "Error" not in text


def test_a_widget_is_known_until_it_is_closed() -> None:
    import ipywidgets

    widget = ipywidgets.IntSlider(3)
    data = {WIDGET: {"model_id": widget.model_id}, "text/plain": "slider"}
    assert living(widget.model_id) is widget
    assert without_view(data) == data
    model_id = widget.model_id
    widget.close()
    assert living(model_id) is None
    assert without_view(data) == {"text/plain": "slider"}


def test_bars_are_the_same_at_one_count_however_they_are_drawn() -> None:
    def shown(text: str) -> dict[str, object]:
        return {WIDGET: {}, "text/plain": text}

    before = shown("epoch:  45%|████▌     | 9/20 [00:01<00:02, 4.2it/s]")
    assert same_bar(before, shown("epoch:  45%|####5     | 9/20 [00:00<?, ?it/s]"))
    assert not same_bar(before, shown("epoch:  50%|#####     | 10/20 [00:00<?, ?it/s]"))
    assert not same_bar(before, shown("other:  45%|####5     | 9/20 [00:00<?, ?it/s]"))
    assert not same_bar(before, {"text/plain": before["text/plain"]})
    assert not same_bar(shown(""), shown(""))
