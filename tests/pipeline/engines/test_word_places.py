"""How much of a claim stands close together in the context."""

import random

from pipeline.engines.word_places import WordPlaces
from pipeline.engines.words import CONTENT, tokenize
from schemas.records import Passage


def places(*texts, stretch=3):
    return WordPlaces([Passage(str(number), text) for number, text in enumerate(texts)], stretch)


def stem(word):
    return tokenize(word).stems[0]


def weights(**words):
    return {stem(word): weight for word, weight in words.items()}


def test_words_in_one_stretch_count_and_function_words_between_them_do_not():
    found = places("The bridge was opened by the king. Ducks swim in ponds near old mills.")
    assert found.gathered(weights(bridge=2.0, opened=1.0, king=4.0)) == 7.0
    assert found.gathered(weights(bridge=2.0, ducks=1.5)) == 2.0  # three content words are one stretch, the fourth not


def test_a_word_that_stands_twice_in_a_stretch_counts_once():
    assert places("river river river bank").gathered(weights(river=2.0, bank=1.0)) == 3.0


def test_no_stretch_reaches_into_the_next_passage():
    assert places("tall bridge", "king ducks").gathered(weights(bridge=1.0, king=1.0)) == 1.0


def test_words_that_the_context_lacks_gather_nothing():
    assert places("tall bridge").gathered(weights(ocean=3.0)) == 0.0
    assert places().gathered(weights(ocean=3.0)) == 0.0


def test_the_best_stretch_is_the_one_that_trying_all_of_them_finds():
    random_words = random.Random(0)
    names = ["amber", "basalt", "copper", "dolomite", "emerald", "flint", "garnet"]
    for _ in range(100):
        text = [random_words.choice(names) for _ in range(30)]
        asked = {stem(name): random_words.choice([0.5, 1.0, 2.0, 4.0]) for name in random_words.sample(names, 4)}
        stems = [stem(word) for word in text]
        tried = max(sum(asked.get(one, 0.0) for one in set(stems[at : at + 5])) for at in range(len(stems)))
        assert places(" ".join(text), stretch=5).gathered(asked) == tried


def test_a_word_that_is_everywhere_takes_bounded_time():
    found = places("copper " * 100_000 + "flint")
    assert len(found[stem("copper")]) == 100_000
    assert found.gathered(weights(copper=1.0, flint=2.0)) == 2.0  # the last of many places are not looked at
    assert tokenize("copper").kinds[0] == CONTENT
