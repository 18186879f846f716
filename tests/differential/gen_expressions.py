#!/usr/bin/env python3
"""Runs the tables of tests/differential/expressions through ansible-core and stores what it answers.

    ORACLE/bin/python tests/differential/gen_expressions.py [TABLE ...]

Each line of a table TABLE.txt is one template; `#` and blank lines are skipped. Prefixes:
    C:  a condition            E:  a bare expression          T:  a file of templates/, as the template lookup has it
    N:  a template in which \\n is a newline
The answers go to TABLE.json: a list of {"t": line, "v": Python's repr of the value} or {"t": line, "e": message}.
The tables community and addresses need the collections community.general, ansible.utils and ansible.netcommon
(ANSIBLE_COLLECTIONS_PATH) and the Python packages netaddr and jmespath; password hashes need passlib and bcrypt.
Variables are in vars.json; names that begin with `unsafe_` are not trusted as templates.
"""
import datetime
import json
import pathlib
import re
import sys

from ansible.plugins.loader import init_plugin_loader

init_plugin_loader()

from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

HERE = pathlib.Path(__file__).resolve().parent / "expressions"


def trusted(value):
    if isinstance(value, str):
        return trust_as_template(value)
    if isinstance(value, dict):
        return {key: trusted(item) for key, item in value.items()}
    if isinstance(value, list):
        return [trusted(item) for item in value]
    return value


def plain(value):
    """The value without Ansible's types; dates as text."""
    if isinstance(value, (datetime.datetime, datetime.date)):
        return str(value)
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, str):
        return str.__str__(value)[:]
    if isinstance(value, dict):
        return {plain(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    raise TypeError(type(value).__name__)


def words(message):
    """A message without names of Ansible's own types, paths, and what Python adds to a recursion error."""
    message = message.replace(f"{HERE}/templates", "templates").replace(str(HERE), "")
    message = re.sub(r"ansible\._internal\._templating\._lazy_containers\.", "", message)
    message = re.sub(r"_Ansible(?:Tagged|LazyTemplate)(Str|Int|Float|List|Dict|Tuple)", lambda m: m[1].lower(), message)
    return re.sub(r"(maximum recursion depth exceeded).*", r"\1", message)


def answer(templar, line):
    try:
        if line.startswith("C:"):
            value = templar._engine.evaluate_conditional(trust_as_template(line[2:]))
        elif line.startswith("E:"):
            value = templar._engine.evaluate_expression(trust_as_template(line[2:]))
        elif line.startswith("T:"):
            path = HERE / "templates" / line[2:]
            templar.available_variables = dict(templar.available_variables, template_under_test=str(path))
            value = templar.template(trust_as_template("{{ lookup('template', template_under_test) }}"))
        elif line.startswith("N:"):
            value = templar.template(trust_as_template(line[2:].replace("\\n", "\n")))
        else:
            value = templar.template(trust_as_template(line))
        return {"t": line, "v": repr(plain(value))}
    except BaseException as error:
        return {"t": line, "e": words(str(error))}


def main():
    variables = json.loads((HERE / "vars.json").read_text())
    names = sys.argv[1:] or sorted(path.stem for path in HERE.glob("*.txt") if path.stem != "known")
    total = 0
    for name in names:
        answers = []
        for line in (HERE / f"{name}.txt").read_text().split("\n"):
            if not line.strip() or line.startswith("#"):
                continue
            given = {
                key: value if key.startswith("unsafe_") else trusted(value) for key, value in variables.items()
            }
            answers.append(answer(Templar(DataLoader(), variables=given), line))
        total += len(answers)
        rows = ",\n".join(json.dumps(row) for row in answers)
        (HERE / f"{name}.json").write_text(f"[\n{rows}\n]\n")
        print(f"{name}: {len(answers)}", file=sys.stderr)
    print(f"{total} in all", file=sys.stderr)


if __name__ == "__main__":
    main()
