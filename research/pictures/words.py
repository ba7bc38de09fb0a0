"""Words that rendered text is made of."""

from __future__ import annotations

_TEXT = """
the of and to in a is that for it as was with be by on not he his but at are this have from or had an they which one you were
all her she there would their we him been has when who will no more if out so up said what its about than into them can only
other time new some could these two may first then do any like my now over such our man me even most made after also did many
off before must well back through years where much your way down should because long each just state people those too mister
how little good world make very year still see own work men day get here old between both life being under three never know
same last another while us might great go come since against right came take used himself few house use place during without
again home around small however found mother thought went say part once general high upon school every server market river
window paper theory garden signal harbour winter copper engine market budget profit quarter revenue growth index volume
customer report forecast account balance energy carbon voltage sample kernel matrix vector network island station bridge
railway museum library council village chapter section figure table appendix method result
"""

WORDS = tuple(_TEXT.split())

NAMES = (
    "Anna",
    "Bela",
    "Chen",
    "Dario",
    "Esra",
    "Femi",
    "Gita",
    "Hugo",
    "Ines",
    "Jan",
    "Kofi",
    "Lena",
    "Mario",
    "Nour",
    "Olga",
    "Pavel",
    "Rosa",
    "Sven",
    "Tala",
    "Yuki",
)

PHRASES = (
    "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich.",
    "Portez ce vieux whisky au juge blond qui fume.",
    "El pingüino Wenceslao hizo kilómetros bajo exhaustiva lluvia y frío.",
    "Съешь же ещё этих мягких французских булок, да выпей чаю.",
    "Ξεσκεπάζω την ψυχοφθόρα βδελυγμία.",
    "Pchnąć w tę łódź jeża lub ośm skrzyń fig.",
    "Příliš žluťoučký kůň úpěl ďábelské ódy.",
    "Flygande bäckasiner söka hwila på mjuka tuvor.",
    "Pijamalı hasta yağız şoföre çabucak güvendi.",
    "The quick brown fox jumps over the lazy dog.",
)
