#!/bin/sh
# hypothesis: lists(unique_by=lambda …) compiles the lambda's own text as a regular expression.
#
# Versions: hypothesis 6.170.17.
# Guess: any function of an element is a key, as the documentation says.
# Behaviour: to see whether a key is `lambda x: x[0]`, the text of the lambda and a pattern are given to re.fullmatch in
#   the wrong order, so that the lambda is the pattern. A key that unpacks, `(*pair[0], pair[1])`, is refused with
#   "nothing to repeat" of module re; a key that reads as a valid pattern works, as does the same key as a def.
# Means: a property test over paths of images (folders, then a name) fails where its strategy is made, with an error
#   that speaks of regular expressions and of no line of the test. Name the key with def, or map to tuples and say
#   unique=True.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
trap 'exit 1' INT TERM
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check hypothesis==6.170.17
cd "$folder"

cat > look.py <<'PYTHON'
from hypothesis import strategies as st

pairs = st.tuples(st.lists(st.integers()), st.integers())


def flat(pair):
    return (*pair[0], pair[1])


KEYS = {
    "lambda, unpacking": lambda pair: (*pair[0], pair[1]),
    "lambda, a tuple": lambda pair: (tuple(pair[0]), pair[1]),
    "def, unpacking": flat,
}
for name, key in KEYS.items():
    try:
        st.lists(pairs, unique_by=key).validate()
        print(f"{name}: accepted")
    except Exception as error:
        print(f"{name}: refused by module {type(error).__module__}: {error}")
PYTHON
venv/bin/python look.py > seen

cat > expected <<'END'
lambda, unpacking: refused by module re: nothing to repeat at position 14
lambda, a tuple: accepted
def, unpacking: accepted
END
cat seen
diff expected seen || { echo "the behaviour has changed"; exit 1; }
