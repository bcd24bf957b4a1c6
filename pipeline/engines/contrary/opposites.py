"""Words that say the opposite of each other, from general English."""

from __future__ import annotations

from typing import Final

from pipeline.engines.words import stem, word_set

# Words against those behind the bar; function words are in small_words.py. Forms that our stems do not bring together
# are listed one by one.
LISTED: Final = """
rise raise increase grow climb gain strength strengthen jump surge soar expand
| fall decrease decline drop lose weaken weak slump shrink plunge reduce lower cut
improve | worsen deteriorate weaken
open | close shut
allow permit let | forbid prohibit ban prevent
begin start | end finish stop
accept | refuse reject decline
win | lose
buy | sell
high | low
strong | weak
mild | severe serious
common frequent often | rare rarely uncommon infrequent seldom
cover | exclude
support favour favor | oppose
upgrade | downgrade
grant | refuse deny
true | false
safe | dangerous unsafe harmful
large big huge | small tiny little
hot warm | cold cool
wet | dry
old | new young
man male men | woman female women
north northern | south southern
east eastern | west western
public | private
always | sometimes rarely
import | export
mother | father
brother | sister
son | daughter
husband | wife
married | divorced unmarried
alive | dead died
easy simple | difficult hard complicated
cheap inexpensive | expensive costly
heavy | light
thick | thin
long | short
fast quick | slow
wide broad | narrow
deep | shallow
early | late
empty | full
loud noisy | quiet
clean | dirty
optional voluntary | mandatory compulsory required
legal lawful | illegal unlawful
guilty convict | innocent acquit clear
arrive | depart leave
enter | exit leave
push | pull
praise | criticize criticise
love | hate
agree | disagree
protect | harm damage hurt
internal | external
indoor | outdoor
upper | lower
maximum | minimum
profit | loss
success succeed successful | failure fail unsuccessful
present | absent
possible | impossible
temporary | permanent
admit confess | deny
destroy demolish | build construct rebuild restore
rich wealthy affluent | poor
confirm | deny dismiss
hire recruit | fire dismiss
natural | artificial synthetic
domestic | foreign
rural | urban
positive | negative
approve adopt | reject refuse
uphold upheld | overturn block strike quash
welcome | regret lament condemn reject
keep retain preserve | erase delete discard remove lose
add install | remove uninstall
enable activate | disable deactivate
eligible | ineligible excluded
recommend encourage | discourage
accelerate | slow
launch introduce | discontinue abolish
appoint | dismiss
joint | sole
connect | disconnect
create | destroy
honest | dishonest
satisfied pleased | dissatisfied unhappy disappointed
friendly polite | rude unfriendly impolite
fresh | stale
spacious roomy | cramped
"""
# In a claim these are too common, or mean too much, to be turned round; in the sentence they may be.
_ONLY_THEIRS: Final = word_set("late close leave clear little cover")
# Have the stems of "severe", "minimum", "optional" and "required".
_OTHER_WORDS: Final = word_set("several minute minutes minus minor option options requirement requirements")


def _read(listed: str) -> dict[str, frozenset[str]]:
    opposites: dict[str, set[str]] = {}
    for line in listed.strip().replace("\n|", " |").splitlines():
        one, other = ({stem(word) for word in side.split()} for side in line.split("|"))
        for word in one:
            opposites.setdefault(word, set()).update(other - {word})
        for word in other:
            opposites.setdefault(word, set()).update(one - {word})
    return {word: frozenset(others) for word, others in opposites.items()}


OPPOSITES: Final = _read(LISTED)  # stem -> stems
_NEVER_OURS: Final = frozenset(map(stem, _ONLY_THEIRS))
_SURE: Final = word_set("closed closes covered")  # of those: but not "close", which may be near


def opposites_of(written: str, word: str) -> frozenset[str]:
    """Stems that say the opposite of a word of a claim, `word` its stem; empty for nearly all words."""
    found = OPPOSITES.get(word)
    if not found or is_other_word(written) or (word in _NEVER_OURS and written.lower() not in _SURE):
        return frozenset()
    return found


def is_other_word(written: str) -> bool:
    """Whether a word only looks like one of ours once it is a stem."""
    return written.lower() in _OTHER_WORDS
