#!/usr/bin/env python3
"""Writes tests/differential/playbooks/*.txt: small playbooks by families, as cases without their output.

What ansible-core 2.19 says of them is recorded by `QUORATE_RECORD=DIR cargo test --test playbooks`, with DIR holding its
ansible-playbook. Everything here is our own.
"""
import textwrap
from pathlib import Path

HERE = Path(__file__).parent / 'playbooks'
FAMILIES = {}


def family(name):
    FAMILIES[name] = cases = []

    def tasks(title, body, args='', head='', files=(), hosts='h1'):
        body = textwrap.indent(textwrap.dedent(body).strip('\n'), '    ')
        head = textwrap.indent(textwrap.dedent(head).strip('\n'), '  ')
        play = f'- hosts: {hosts}\n  gather_facts: false\n' + (head + '\n' if head.strip() else '') + '  tasks:\n' + body
        cases.append((title, [('play.yml', play), *files], args))

    def whole(title, play, args='', files=()):
        cases.append((title, [('play.yml', textwrap.dedent(play).strip('\n')), *files], args))

    tasks.whole = whole
    return tasks


def f(path, text):
    return (path, textwrap.dedent(text).strip('\n'))


t = family('loops')
LISTS = {'numbers': '[1, 2, 3]', 'texts': '[a, b]', 'mixed': '[1, a, true, null, 2.5]', 'empty': '[]', 'mappings': '[{k: 1}, {k: 2}]', 'nested': '[[1, 2], [3]]'}
for name, items in LISTS.items():
    t(f'loop over {name}', f'- debug: msg="{{{{ item }}}}"\n  loop: {items}')
    t(f'with_items over {name}', f'- debug: msg="{{{{ item }}}}"\n  with_items: {items}')
for key, value in {
        'loop_var': '{loop_var: thing}', 'index_var': '{index_var: n}', 'label': '{label: "no {{ item }}"}', 'extended': '{extended: true}',
        'pause': '{pause: 0}', 'extended without allitems': '{extended: true, extended_allitems: false}', 'break_when': '{break_when: [item == 2]}'}.items():
    var = 'thing' if key == 'loop_var' else 'item'
    shown = {'index_var': '{{ n }} {{ item }}', 'extended': '{{ ansible_loop.index }}/{{ ansible_loop.length }} {{ ansible_loop.first }} {{ ansible_loop.last }} {{ ansible_loop.nextitem | default("-") }}',
             'extended without allitems': '{{ ansible_loop.allitems is defined }}'}.get(key, '{{ %s }}' % var)
    t(f'loop_control {key}', f'''- debug:
    msg: '{shown}'
  loop: [1, 2, 3]
  loop_control: {value}''')
for name, terms in {
        'dict': '{a: 1, b: {c: 2}}', 'together': '\n    - [1, 2]\n    - [a, b, c]', 'nested': '\n    - [1, 2]\n    - [a, b]', 'sequence': 'start=1 end=5 stride=2 format=n%02d',
        'indexed_items': '[a, b]', 'flattened': '\n    - [1, [2, 3]]\n    - 4', 'list': '\n    - [1, 2]\n    - 3', 'subelements': '\n    - [{n: a, l: [1, 2]}, {n: b, l: [3]}]\n    - l',
        'cartesian': '\n    - [1, 2]\n    - [x]', 'lines': 'printf "a\\nb\\n"', 'inventory_hostnames': 'all:!h1', 'items undefined': '"{{ nope }}"'}.items():
    t(f'with_{name}', f'- debug: msg="{{{{ item }}}}"\n  with_{name.split()[0]}: {terms}\n  ignore_errors: true')
t('a loop that fails in the middle', '- command: test {{ item }} != 2\n  loop: [1, 2, 3]\n  register: r\n  failed_when: item == 2\n  changed_when: false\n  no_log: true\n  ignore_errors: true\n- debug: msg="{{ r.results | map(attribute=\'failed\') | list }} {{ r.msg }}"')
t('items that are skipped', '- debug: msg="{{ item }}"\n  loop: [1, 2, 3]\n  when: item > 1')
t('all items skipped', '- debug: msg="{{ item }}"\n  loop: [1, 2]\n  when: item > 5\n  register: r\n- debug: var=r.skipped')
t('no list', '- debug: msg=x\n  loop: "{{ {} }}"\n  ignore_errors: true\n- debug: msg=x\n  loop: "{{ \'abc\' }}"\n  ignore_errors: true')
t('until', '- debug: msg=x\n  register: r\n  until: r.attempts | default(3) == 3\n  retries: 3\n  delay: 0')
t('until never', '- ping:\n  register: r\n  until: false\n  retries: 2\n  delay: 0\n  ignore_errors: true\n- debug: var=r.attempts')
t('registered loop', '- ping: data="{{ item }}"\n  loop: [a, b]\n  register: r\n- debug: msg="{{ r.results | map(attribute=\'ping\') | join(\',\') }} {{ r.changed }} {{ r.msg }}"')
t('loop over what is registered', '- ping: data="{{ item }}"\n  loop: [a, b]\n  register: r\n- debug: var=item.ping\n  loop: "{{ r.results }}"\n  loop_control: {label: "{{ item.item }}"}')

t = family('conditions')
for expr in ['true', 'false', '1 == 1', 'not (1 > 2)', '"a" in "abc"', 'x is defined', 'x is not defined', 'v == 5', 'v | int > 3 and v is number', 'l | length == 3', '"h1" in groups.all',
             'inventory_hostname == "h1"', 'd.k.j == "z"', 'd.nope is defined', 'nope.deep is defined', 'v in [5, 6]', '(l | first) == 1', 'l is all', '[] | length == 0 or nope']:
    t(f'when {expr}', f"- debug: msg=yes\n  when: '{expr}'\n  ignore_errors: true", head='vars: {v: 5, l: [1, 2, 3], d: {k: {j: z}}}')
for bad in ['v', '"text"', 'l', 'nope', 'v ==', '{{ v }} == 5', '{{ true }}', '1 + 1', 'd', '[]']:
    t(f'condition that is none: {bad}', f"- debug: msg=yes\n  when: '{bad}'\n  ignore_errors: true", head='vars: {v: 5, l: [1], d: {a: 1}}')
t('a list of conditions', '- debug: msg=yes\n  when:\n    - true\n    - 1 == 1\n- debug: msg=no\n  when:\n    - true\n    - 1 == 2\n', args='-v')
t('changed_when and failed_when', '''
- ping:
  changed_when: true
- ping:
  changed_when: [true, false]
- ping:
  failed_when: false
- ping:
  failed_when: [true, true]
  ignore_errors: true
- fail: msg=no
  failed_when: false
- ping:
  changed_when: nope
  ignore_errors: true
- ping:
  failed_when: 1
  ignore_errors: true
''')

t = family('blocks')
t('rescue', '- block:\n    - fail: msg=a\n    - debug: msg=never\n  rescue:\n    - debug: var=ansible_failed_task.name\n    - debug: var=ansible_failed_result.msg\n  always:\n    - debug: msg=always\n- debug: msg=after')
t('always without rescue', '- block:\n    - fail: msg=a\n  always:\n    - debug: msg=always\n- debug: msg=never')
t('rescue that fails', '- block:\n    - fail: msg=a\n  rescue:\n    - fail: msg=b\n  always:\n    - debug: msg=always\n- debug: msg=never')
t('nested blocks', '- block:\n    - block:\n        - fail: msg=a\n      always:\n        - debug: msg=inner\n  rescue:\n    - debug: msg=outer\n- debug: msg=after')
t('block keywords', '- block:\n    - debug: msg="{{ v }}"\n    - debug: msg=x\n      when: true\n  vars: {v: 1}\n  when: v == 1\n  tags: [a]\n- block:\n    - debug: msg=no\n  when: false', args='-v')
t('block that is ignored', '- block:\n    - fail: msg=a\n    - debug: msg=b\n  ignore_errors: true')
t('rescue on one of two hosts', '- block:\n    - fail: msg=a\n      when: inventory_hostname == "h1"\n    - debug: msg=b\n  rescue:\n    - debug: msg=r', hosts='h1,h2')
t('any_errors_fatal', '- fail: msg=a\n  when: inventory_hostname == "h2"\n- debug: msg=never', head='any_errors_fatal: true', hosts='h1,h2')
t('max_fail_percentage', '- fail: msg=a\n  when: inventory_hostname in ["h1"]\n- debug: msg=on\n- fail: msg=b\n  when: inventory_hostname == "h2"\n- debug: msg=never', head='max_fail_percentage: 50', hosts='h1,h2,h3')
t('ignore_unreachable', '- ping:\n  delegate_to: gone\n  ignore_unreachable: true\n  when: false\n- debug: msg=on')
t('empty block', '- block: []\n- debug: msg=on')

t = family('handlers')
H = 'handlers:\n  - name: one\n    debug: msg=one\n  - name: two\n    debug: msg=two\n    listen: topic\n  - name: three\n    debug: msg=three\n    listen: [topic, other]\n'
for title, body, args in [
        ('notify one', '- ping:\n  changed_when: true\n  notify: one\n- debug: msg=then', ''),
        ('notify twice', '- ping:\n  changed_when: true\n  notify: [one, two]\n- ping:\n  changed_when: true\n  notify: one', ''),
        ('notify a topic', '- ping:\n  changed_when: true\n  notify: topic', ''),
        ('not changed', '- ping:\n  notify: one', ''),
        ('flush', '- ping:\n  changed_when: true\n  notify: two\n- meta: flush_handlers\n- debug: msg=after', ''),
        ('a loop notifies', '- ping: data="{{ item }}"\n  loop: [1, 2]\n  changed_when: item == 2\n  notify: one', ''),
        ('a failure before the end', '- ping:\n  changed_when: true\n  notify: one\n- fail: msg=a', ''),
        ('force handlers', '- ping:\n  changed_when: true\n  notify: one\n- fail: msg=a', '--force-handlers'),
        ('verbose', '- ping:\n  changed_when: true\n  notify: [one, topic]', '-vv'),
        ('handler by template', '- ping:\n  changed_when: true\n  notify: "{{ which }}"\n  vars: {which: one}', ''),
        ('missing handler', '- ping:\n  changed_when: true\n  notify: nope', '')]:
    t(title, body, args=args, head=H)
t('a handler notifies', '- ping:\n  changed_when: true\n  notify: a', head='handlers:\n  - name: a\n    ping:\n    changed_when: true\n    notify: b\n  - name: b\n    debug: msg=b')
t('handlers of two hosts', '- ping:\n  changed_when: inventory_hostname == "h2"\n  notify: one', head=H, hosts='h1,h2')
t('handler with a condition', '- ping:\n  changed_when: true\n  notify: a', head='handlers:\n  - name: a\n    debug: msg=a\n    when: false')

t = family('variables')
t('precedence of play, block and task', '- debug: var=v\n- block:\n    - debug: var=v\n    - debug: var=v\n      vars: {v: task}\n  vars: {v: block}\n- set_fact: v=fact\n- debug: var=v', head='vars: {v: play}')
t('extra variables win', '- debug: var=v\n- set_fact: v=fact\n- debug: var=v\n  vars: {v: task}', head='vars: {v: play}', args='-e v=extra')
for extra in ['v=1', '\'{"v": 1}\'', '\'{"v": [1, "a"]}\'', "'v=\"a b\" w=2'", '@vars.yml', "'v=true'", "'v={{ 1 + 1 }}'"]:
    t(f'extra {extra}', '- debug: var=v\n- debug: msg="{{ v | type_debug }}"', args=f'-e {extra}', files=[f('vars.yml', 'v: from file\n')])
t('vars_files', '- debug: msg="{{ a }} {{ b }}"', head='vars_files: [one.yml, [nope.yml, two.yml]]', files=[f('one.yml', 'a: 1\nb: 0'), f('two.yml', 'b: 2')])
t('missing vars file', '- debug: msg=x', head='vars_files: [nope.yml]')
t('lazy and recursive', '- debug: var=a\n- debug: var=l\n- debug: msg="{{ c }}"\n  ignore_errors: true', head='vars: {a: "{{ b }}!", b: "{{ 1 + 1 }}", l: ["{{ a }}", "{{ b }}"], c: "{{ c }}"}')
t('undefined', '- debug: var=nope\n- debug: msg="{{ nope }}"\n  ignore_errors: true\n- debug: msg="{{ d.nope }}"\n  ignore_errors: true\n- debug: msg="{{ nope | default(1) }}"', head='vars: {d: {}}')
t('omit', '- ping: data="{{ omit }}"\n- debug: msg="{{ [1, omit] }}"\n- debug: msg="{{ {\'a\': omit, \'b\': 1} }}"')
t('set_fact shapes', '- set_fact: {a: 1, b: [1, 2], c: {d: x}, e: "{{ 1 + 1 }}", f: "5", g: "{{ \'5\' }}", h: true}\n- debug: msg="{{ [a, b, c, e, f, g, h] }}"\n- debug: msg="{{ [a, e, f, g, h] | map(\'type_debug\') | list }}"', args='-v')
t('set_fact k=v', '- set_fact: a=1 b="x y" c=true d=[1,2]\n- debug: msg="{{ [a, b, c, d] }} {{ [a, b, c, d] | map(\'type_debug\') | list }}"')
t('register shapes', '- ping:\n  register: r\n- debug: var=r\n- command: echo hi\n  changed_when: false\n  register: r\n- debug: msg="{{ r.stdout_lines }} {{ r.rc }} {{ r is success }} {{ r is changed }}"\n- debug: msg=x\n  when: false\n  register: r\n- debug: var=r')
t('magic variables', '''
- debug: msg="{{ inventory_hostname }} {{ inventory_hostname_short }} {{ group_names }} {{ groups }}"
- debug: msg="{{ ansible_play_hosts }} {{ ansible_play_batch }} {{ ansible_play_hosts_all }} {{ play_hosts }}"
- debug: msg="{{ ansible_play_name }} {{ ansible_check_mode }} {{ ansible_diff_mode }} {{ ansible_forks }} {{ ansible_verbosity }}"
- debug: msg="{{ ansible_run_tags }} {{ ansible_skip_tags }} {{ ansible_limit | default('none') }} {{ ansible_version.full is defined }}"
- debug: msg="{{ hostvars['h2'].inventory_hostname }} {{ hostvars['h2'].x | default('no') }} {{ hostvars | length }}"
- debug: msg="{{ role_name | default('no role') }} {{ vars['v'] }} {{ playbook_dir == inventory_dir }}"
''', head='vars: {v: 1}')
t('include_vars', '- include_vars: v.yml\n- debug: var=a\n- include_vars: {file: v.yml, name: n}\n- debug: var=n\n- include_vars: nope.yml\n  ignore_errors: true\n- include_vars: {dir: d}\n- debug: var=b', files=[f('v.yml', 'a: 1'), f('d/x.yml', 'b: 2')])
t('unsafe', '- debug: var=u\n- debug: msg="{{ u }}"\n- debug: msg="{{ l[0] }}"', head='vars: {u: !unsafe "{{ no }}", l: [!unsafe "a {{ b"]}')
t('group_vars and host_vars', '- debug: msg="{{ a }} {{ b }} {{ c }}"', files=[f('group_vars/all.yml', 'a: all\nb: all\nc: all'), f('group_vars/web.yml', 'b: web\nc: web'), f('host_vars/h1.yml', 'c: h1')], hosts='h1,h3')
t('vars_prompt without a terminal', '- debug: var=p', head='vars_prompt: [{name: p, prompt: Say, default: x, private: false}]')
t('environment', '- command: printenv A\n  changed_when: false\n  environment: {A: "{{ v }}"}\n  register: r\n- debug: var=r.stdout\n- block:\n    - command: printenv A B\n      changed_when: false\n      register: r\n      environment: {B: task}\n    - debug: var=r.stdout\n  environment: {A: block, B: block}', head='vars: {v: 1}')
t('module_defaults', '- ping:\n  register: r\n- debug: var=r.ping\n- ping: data=own\n  register: r\n- debug: var=r.ping\n- block:\n    - ping:\n      register: r\n    - debug: var=r.ping\n  module_defaults: {ansible.builtin.ping: {data: block}}', head='module_defaults: {ping: {data: play}}')

t = family('templates')
for title, expr in {
        'arithmetic': '1 + 2 * 3 - 4 / 2', 'integers': '7 // 2 ~ 7 % 3', 'power': '2 ** 40', 'concatenation': '"a" ~ 1 ~ true', 'slices': '[1, 2, 3, 4][1:3]', 'comparison': '1 < 2 < 3', 'conditional': '"a" if false else "b"',
        'nothing': '"a" if false', 'none': 'none', 'booleans': '[true, false]', 'float': '1.0', 'big': '12345678901234567890123', 'mapping': "{'a': {'b': [1]}}", 'tuple': '(1, 2)', 'text with newline': '"a\\nb"', 'quotes': '"it\'s"',
        'unicode': '"žluťoučký"', 'upper': '"abc" | upper', 'default': 'nope | default("d")', 'default true': '"" | default("d", true)', 'join': '[1, 2] | join("-")', 'map': "[{'a': 1}] | map(attribute='a') | list", 'select': '[1, 2, 3] | select("odd") | list',
        'combine': "{'a': 1} | combine({'b': 2})", 'dict2items': "{'a': 1} | dict2items", 'items2dict': "[{'key': 'a', 'value': 1}] | items2dict", 'to_json': "{'a': [1, none]} | to_json", 'to_nice_json': "{'b': 1, 'a': 2} | to_nice_json",
        'to_yaml': "{'a': [1, 'x']} | to_yaml", 'to_nice_yaml': "{'a': [1, 'x']} | to_nice_yaml", 'from_json': '\'{"a": 1}\' | from_json', 'from_yaml': '"a: [1, 2]" | from_yaml', 'regex_replace': '"abc" | regex_replace("b", "x")',
        'regex_search': '"a1b2" | regex_search("[0-9]")', 'regex_findall': '"a1b2" | regex_findall("[0-9]")', 'split': '"a,b" | split(",")', 'unique': '[1, 1, 2] | unique', 'union': '[1] | union([2])', 'flatten': '[1, [2, [3]]] | flatten',
        'zip': '[1, 2] | zip([3, 4]) | list', 'groupby': "[{'a': 1}, {'a': 2}] | groupby('a')", 'ternary': 'true | ternary("y", "n")', 'bool': '"yes" | bool', 'int': '"5" | int + 1', 'hash': '"a" | hash("sha256")', 'b64': '"a" | b64encode | b64decode',
        'password_hash': '"a" | password_hash("sha512", "salt") | length', 'basename': '"/a/b.c" | basename', 'splitext': '"/a/b.c" | splitext', 'path_join': '["a", "b"] | path_join', 'human': '1048576 | human_readable', 'version': '"1.2" is version("1.10", "<")',
        'match': '"abc" is match("a.c")', 'subset': '[1] is subset([1, 2])', 'undefined test': 'nope is undefined', 'lookup items': 'lookup("items", [1, 2])', 'query': 'query("items", 1, 2)', 'lookup env': 'lookup("env", "NOPE") | length', 'lookup vars': 'lookup("vars", "v")',
        'lookup dict': 'lookup("dict", {"a": 1})', 'lookup sequence': 'query("sequence", "start=1 end=3")', 'lookup pipe': 'lookup("pipe", "echo hi")', 'lookup file': 'lookup("file", "f.txt")', 'lookup template': 'lookup("template", "t.j2")', 'range': 'range(3) | list',
        'dict()': 'dict(a=1)', 'methods': '"a b".split() + ["x".upper()]', 'format': '"%s-%02d" | format("a", 5)', 'percent': '"%s" % 5', 'random seeded': '[1, 2, 3] | random(seed="x")', 'shuffle seeded': '[1, 2, 3] | shuffle(seed="x")', 'extract': '["a", "b"] | map("extract", {"a": 1, "b": 2}) | list',
        'json_query like': '[{"n": 1}, {"n": 2}] | selectattr("n", ">", 1) | list', 'type_debug': '[1, "a", none, 1.5, [], {}] | map("type_debug") | list', 'quote': '"a b" | quote', 'comment': '"x" | comment', 'urlsplit': '"http://a/b" | urlsplit("hostname")', 'strftime': '"%Y" | strftime(0)',
        'bad filter': '1 | nope', 'bad test': '1 is nope', 'bad syntax': '1 +', 'division': '1 / 0', 'bad lookup': 'lookup("nope")', 'missing file': 'lookup("file", "nope")', 'missing key': '{}.a', 'missing index': '[][0]', 'filter error': '"x" | from_json', 'mandatory': 'nope | mandatory'}.items():
    t(title, f'''- debug:
    msg: >-
      {{{{ {expr} }}}}
  ignore_errors: true''', head='vars: {v: 5}', files=[f('f.txt', 'content'), f('t.j2', 'v={{ v }}')])
t('template module', '- template: {src: t.j2, dest: "{{ playbook_dir }}/out"}\n- command: cat out\n  args: {chdir: "{{ playbook_dir }}"}\n  changed_when: false\n  register: r\n- debug: var=r.stdout_lines', head='vars: {l: [1, 2]}', files=[f('t.j2', '{% for i in l %}\n  - {{ i }}{{ "," if not loop.last }}\n{% endfor %}\n{# no #}end {{ inventory_hostname }}')])

t = family('includes')
F = [f('a.yml', '- debug: msg="a {{ x | default(0) }} {{ item | default(\'-\') }}"'), f('b.yml', '- debug: msg=b\n- include_tasks: a.yml\n  vars: {x: 2}'), f('empty.yml', ''), f('bad.yml', '- nosuch_module: x')]
for title, body, args in [
        ('include_tasks', '- include_tasks: a.yml', ''), ('include_tasks with vars', '- include_tasks: a.yml\n  vars: {x: 1}', ''), ('include_tasks in a loop', '- include_tasks: a.yml\n  loop: [1, 2]', ''),
        ('include_tasks by template', '- include_tasks: "{{ which }}.yml"\n  vars: {which: a}', ''), ('include_tasks skipped', '- include_tasks: a.yml\n  when: false', '-v'), ('include_tasks missing', '- include_tasks: nope.yml\n  ignore_errors: true\n- debug: msg=on', ''),
        ('include_tasks nested', '- include_tasks: b.yml', ''), ('include_tasks apply', '- include_tasks: {file: a.yml, apply: {vars: {x: 9}, tags: [t]}}', ''), ('include_tasks of nothing', '- include_tasks: empty.yml\n- debug: msg=on', ''),
        ('import_tasks', '- import_tasks: a.yml', ''), ('import_tasks with vars', '- import_tasks: a.yml\n  vars: {x: 1}', ''), ('import_tasks skipped', '- import_tasks: a.yml\n  when: false', ''), ('import_tasks nested', '- import_tasks: b.yml', ''),
        ('import_tasks missing', '- import_tasks: nope.yml', ''), ('import_tasks in a loop', '- import_tasks: a.yml\n  loop: [1]', ''), ('bad tasks', '- import_tasks: bad.yml', ''), ('tags on import', '- import_tasks: b.yml\n  tags: [t]\n- debug: msg=no', '--tags t'),
        ('tags on include', '- include_tasks: a.yml\n  tags: [t]\n- debug: msg=no', '--tags t'), ('tags on include with apply', '- include_tasks: {file: a.yml, apply: {tags: [t]}}\n  tags: [t]', '--tags t'), ('include in a rescue', '- block:\n    - fail: msg=x\n  rescue:\n    - include_tasks: a.yml', '')]:
    t(title, body, args=args, files=F)
R = [f('roles/r/tasks/main.yml', '- debug: msg="{{ role_name }} {{ d }} {{ v }} {{ p | default(\'-\') }}"\n- include_tasks: more.yml'), f('roles/r/tasks/more.yml', '- debug: msg=more'), f('roles/r/tasks/other.yml', '- debug: msg="other {{ v }}"'),
     f('roles/r/defaults/main.yml', 'd: default\nv: default'), f('roles/r/vars/main.yml', 'v: role'), f('roles/r/vars/alt.yml', 'v: alt'), f('roles/r/handlers/main.yml', '- name: rh\n  debug: msg=handled'), f('roles/r/templates/t.j2', 'x={{ v }}'), f('roles/r/files/f', 'data'),
     f('roles/dep/meta/main.yml', 'dependencies: [r]'), f('roles/dep/tasks/main.yml', '- debug: msg="dep {{ v }} {{ ansible_play_role_names }}"\n- ping:\n  changed_when: true\n  notify: rh'),
     f('roles/spec/meta/argument_specs.yml', 'argument_specs:\n  main:\n    short_description: x\n    options:\n      need: {type: int, required: true}\n      pick: {type: str, choices: [a, b], default: a}\n'), f('roles/spec/tasks/main.yml', '- debug: msg="{{ need }}"')]
for title, body, head, args in [
        ('role in roles', '- debug: msg="{{ v }}"', 'roles: [r]', ''), ('role with params', '- debug: msg=x', 'roles: [{role: r, p: 1, tags: [t]}]', ''), ('role twice', '- debug: msg=x', 'roles: [r, r]', ''), ('role twice with params', '- debug: msg=x', 'roles: [{role: r, p: 1}, {role: r, p: 2}]', ''),
        ('role with a condition', '- debug: msg=x', 'roles: [{role: r, when: false}]', ''), ('dependencies', '- debug: msg=x', 'roles: [dep]', ''), ('include_role', '- include_role: {name: r}\n- debug: msg="{{ v | default(\'none\') }}"', '', ''), ('include_role in a loop', '- include_role: {name: r}\n  vars: {p: "{{ item }}"}\n  loop: [1, 2]', '', ''),
        ('include_role tasks_from', '- include_role: {name: r, tasks_from: other}', '', ''), ('include_role vars_from', '- include_role: {name: r, vars_from: alt.yml, tasks_from: other.yml}', '', ''), ('include_role public', '- include_role: {name: r, public: true}\n- debug: var=v', '', ''),
        ('include_role missing', '- include_role: {name: nope}\n  ignore_errors: true', '', ''), ('import_role', '- import_role: {name: r}\n- debug: var=v', '', ''), ('import_role tasks_from', '- import_role: {name: r, tasks_from: other}', '', ''), ('import_role missing', '- import_role: {name: nope}', '', ''),
        ('argument specs', '- debug: msg=x', 'roles: [{role: spec, need: 5}]', ''), ('argument specs missing', '- debug: msg=x', 'roles: [spec]', ''), ('argument specs wrong choice', '- debug: msg=x', 'roles: [{role: spec, need: 1, pick: c}]', ''), ('argument specs wrong type', '- debug: msg=x', 'roles: [{role: spec, need: abc}]', ''),
        ('pre and post', '- debug: msg=task', 'pre_tasks: [{debug: {msg: pre}}]\nroles: [r]\npost_tasks: [{debug: {msg: post}}]', ''), ('list tasks', '- debug: msg=x\n  name: named\n  tags: [t]', 'roles: [r]', '--list-tasks'), ('list tags', '- debug: msg=x\n  tags: [t, u]', 'roles: [{role: r, tags: v}]', '--list-tags'),
        ('end_role', '- debug: msg=x', 'roles: [e]', '')]:
    t(title, body, head=head, args=args, files=[*R, f('roles/e/tasks/main.yml', '- debug: msg=a\n- meta: end_role\n- debug: msg=never')])
t.whole('import_playbook', '- import_playbook: other.yml\n  vars: {x: 1}\n- hosts: h1\n  gather_facts: false\n  tasks:\n    - debug: msg=main', files=[f('other.yml', '- hosts: h2\n  gather_facts: false\n  tasks:\n    - debug: msg="other {{ x }}"')])

t = family('plays')
TAGS = '- debug: msg=none\n- debug: msg=a\n  tags: a\n- debug: msg=ab\n  tags: [a, b]\n- debug: msg=always\n  tags: always\n- debug: msg=never\n  tags: never\n- debug: msg=never_a\n  tags: [never, c]'
for args in ['', '--tags a', '--tags b', '--skip-tags a', '--tags untagged', '--tags tagged', '--tags all', '--tags never', '--tags c', '--skip-tags always', '--tags a --skip-tags b', '--tags a,b', '--list-tags', '--list-tasks', '--list-hosts', '--syntax-check']:
    t(f'tags {args}', TAGS, args=args)
for serial in ['1', '2', '"50%"', '[1, 2]', '["30%", 2]', '0']:
    t(f'serial {serial}', '- debug: msg="{{ ansible_play_batch }}"', head=f'serial: {serial}', hosts='all')
for order in ['inventory', 'reverse_inventory', 'sorted', 'reverse_sorted']:
    t(f'order {order}', '- debug: msg=x', head=f'order: {order}', hosts='all')
for pattern in ['all', 'h1', 'web', 'web:!h1', 'web:&db', '"*"', '"h[12]"', '"~h[13]"', 'all[0]', 'all[1:]', 'nope', '"h1,h3"', '[h1, h2]', '"{{ \'web\' }}"', 'ungrouped', 'all:!all']:
    t(f'hosts {pattern}', '- debug: msg=x', hosts=pattern)
for limit in ['h1', 'web', '!h1', 'web:&db', 'nope', 'h1,h2', '~h[23]']:
    t(f"limit {limit}", '- debug: msg=x', hosts='all', args=f"--limit '{limit}'")
t('run_once', '- debug: msg=x\n  run_once: true\n- set_fact: a="{{ inventory_hostname }}"\n  run_once: true\n- debug: var=a', hosts='all')
t('run_once delegated', '- debug: msg="{{ inventory_hostname }}"\n  run_once: true\n  delegate_to: h2\n- ping:\n  delegate_to: h3\n- set_fact: a=1\n  delegate_to: h2\n  delegate_facts: true\n- debug: msg="{{ hostvars.h2.a | default(\'no\') }} {{ a | default(\'no\') }}"', hosts='h1')
t('start at task', '- debug: msg=a\n  name: first\n- debug: msg=b\n  name: second\n- debug: msg=c', args='--start-at-task second')
t('check and diff', '- ping:\n- debug: msg="{{ ansible_check_mode }}"\n- debug: msg="{{ ansible_check_mode }}"\n  check_mode: false\n- copy: {dest: "{{ playbook_dir }}/f", content: "x\\n", mode: "644"}\n  diff: true', args='--check')
t('end_host and end_play', '- meta: end_host\n  when: inventory_hostname == "h1"\n- debug: msg=on\n- meta: end_play\n- debug: msg=never', hosts='h1,h2')
t('end_batch', '- debug: msg=on\n- meta: end_batch\n- debug: msg=never', head='serial: 1', hosts='h1,h2')
t('clear_host_errors', '- fail: msg=x\n  when: inventory_hostname == "h1"\n- debug: msg=on\n- meta: clear_host_errors\n- debug: msg=all', hosts='h1,h2')
t('add_host and group_by', '- add_host: {name: new, groups: [fresh], v: 1, ansible_connection: local}\n- group_by: {key: "g_{{ inventory_hostname }}"}\n- debug: msg="{{ groups.fresh }} {{ groups.g_h1 }} {{ hostvars.new.v }}"')
t.whole('two plays', '- hosts: h1\n  gather_facts: false\n  name: first\n  tasks:\n    - fail: msg=x\n- hosts: h1,h2\n  gather_facts: false\n  name: second\n  tasks:\n    - debug: msg=y')
t.whole('set_stats', '- hosts: h1,h2\n  gather_facts: false\n  tasks:\n    - set_stats: {data: {n: 1}}\n    - set_stats: {data: {m: "{{ inventory_hostname }}"}, per_host: true}')
for bad in ['- hosts: h1\n  nope: 1\n  tasks: []', '- tasks: []', '- hosts: h1\n  tasks:\n    - nope: 1', '- hosts: h1\n  tasks:\n    - debug: msg=x\n      nope: 1', '- hosts: h1\n  tasks:\n    - debug:\n      ping:', '- hosts: h1\n  tasks:\n    - name: nothing', '- hosts: h1\n  tasks: {a: 1}',
            '- hosts: h1\n  roles: [nope]', 'a: 1', '- hosts: []\n  tasks: []', '- hosts: h1\n  tasks:\n    - debug: msg=x y', '- hosts: h1\n  tasks:\n    - debug: msg="{{ x"', '- hosts: h1\n  strategy: nope\n  tasks: []', '- import_playbook: nope.yml', '- hosts: h1\n  tasks:\n    - block:\n        - debug:\n      loop: [1]']:
    t.whole('mistake ' + bad.replace('\n', ' / '), bad)
for strategy in ['free', 'host_pinned', 'linear', 'debug']:
    t(f'strategy {strategy}', '- debug: msg=a\n- debug: msg=b', head=f'strategy: {strategy}')

t = family('output')
BODY = '- name: a name\n  debug: msg=x\n- ping:\n- command: "true"\n  changed_when: true\n  no_log: true\n- debug: msg=x\n  when: false\n- fail: msg=bad\n  ignore_errors: true\n- debug: msg="{{ item }}"\n  loop: [1, {a: 2}]\n- set_fact: a=1\n- assert: {that: 1 == 1}\n- assert: {that: 1 == 2, fail_msg: no, quiet: true}\n  ignore_errors: true\n- debug: var=a verbosity=1\n- name: "templated {{ a }}"\n  ping: data="{{ item }}"\n  with_items: [x, y]\n'
for args in ['', '-v', '--check', '--diff']:
    t(f'everything {args}', BODY, args=args)
for key in ['ANSIBLE_DISPLAY_SKIPPED_HOSTS=false', 'ANSIBLE_DISPLAY_OK_HOSTS=false', 'ANSIBLE_CALLBACK_RESULT_FORMAT=yaml', 'ANSIBLE_STDOUT_CALLBACK=minimal', 'ANSIBLE_STDOUT_CALLBACK=oneline', 'ANSIBLE_CHECK_MODE_MARKERS=true', 'ANSIBLE_SHOW_CUSTOM_STATS=true', 'ANSIBLE_DISPLAY_FAILED_STDERR=true', 'ANSIBLE_SHOW_PER_HOST_START=true']:
    t(f'with {key}', BODY, args=f'-v --env {key}')
t('no_log', '- debug: msg=x\n  no_log: true\n- fail: msg=x\n  no_log: true\n  ignore_errors: true\n- ping:\n  loop: [1, 2]\n  no_log: true\n- ping:\n  register: r\n  no_log: true\n- debug: var=r.ping', args='-v')
t('assert shapes', '- assert: {that: [true, 1 == 1], success_msg: good}\n- assert: {that: [true, 1 == 2, false], fail_msg: [a, b]}\n  ignore_errors: true\n- assert: {that: nope == 1}\n  ignore_errors: true\n- assert: {that: []}\n- assert:\n    that: "{{ [1 == 1] }}"')
t('fail shapes', '- fail:\n  ignore_errors: true\n- fail: msg="a\\nb"\n  ignore_errors: true\n- fail: {msg: "{{ [1] }}"}\n  ignore_errors: true')
t('debug shapes', '- debug:\n- debug: msg=[1,2]\n- debug: {msg: [1, a]}\n- debug: {msg: {b: 1, a: null}}\n- debug: var=x\n- debug: var=x.a\n- debug: {var: "x.l[0]"}\n- debug: {var: x, verbosity: 2}\n- debug: {msg: "", verbosity: 0}\n- debug: msg=\'a b\'\n- debug: {msg: "a\\nb"}\n- debug: {msg: 1.0}\n- debug: {msg: true}', head='vars: {x: {a: 1, l: [z]}}')
t('arguments that do not fit', '- ping: nope=1\n  ignore_errors: true\n- debug: {nope: 1}\n  ignore_errors: true\n- file: {path: /tmp, state: nope}\n  ignore_errors: true\n- stat:\n  ignore_errors: true\n- wait_for: {port: abc}\n  ignore_errors: true\n- file: {path: /nonexistent/x, state: touch}\n  ignore_errors: true\n- pause: {seconds: 1, minutes: 1}\n  ignore_errors: true')


t = family('trees')
SOURCE = '''
- shell: |
    umask 022
    mkdir -p files/t/sub/deep files/t/empty
    printf one > files/t/a; printf two > files/t/sub/b; printf two > files/t/sub/deep/c
    chmod 600 files/t/a; chmod 755 files/t/sub/b; chmod 700 files/t/sub/deep
    ln -sfn a files/t/l; ln -sfn sub files/t/dl; ln -sfn nowhere files/t/broken
  args: {chdir: "{{ playbook_dir }}"}
  check_mode: false
  changed_when: false
'''
SHOWN = '''
- shell: 'cd out && find . -printf "%P %y %m %l\\n" | sort; find . -type f | sort | xargs -r tail -n +1'
  args: {chdir: "{{ playbook_dir }}"}
  register: r
  check_mode: false
  changed_when: false
- debug: var=r.stdout_lines
'''
for title, args, before in [
        ('without a slash', 'src: t, dest: "{{ playbook_dir }}/out/"', ''),
        ('with a slash', 'src: t/, dest: "{{ playbook_dir }}/out"', ''),
        ('modes', 'src: t/, dest: "{{ playbook_dir }}/out", mode: "0640", directory_mode: "0711"', ''),
        ('mode preserve', 'src: t/, dest: "{{ playbook_dir }}/out/", mode: preserve', ''),
        ('directory_mode', 'src: t, dest: "{{ playbook_dir }}/out/", directory_mode: "0750"', ''),
        ('links as links', 'src: t/, dest: "{{ playbook_dir }}/out/", local_follow: false', ''),
        ('not forced', 'src: t/, dest: "{{ playbook_dir }}/out/", force: false', 'mkdir -p out/sub; printf mine > out/a; printf mine > out/sub/b'),
        ('what stands is a link', 'src: t/, dest: "{{ playbook_dir }}/out/"', 'mkdir -p out; printf x > elsewhere; ln -sfn ../elsewhere out/a'),
        ('what stands is a directory', 'src: t/, dest: "{{ playbook_dir }}/out/"', 'mkdir -p out/a'),
        ('from the host', 'src: "{{ playbook_dir }}/files/t", dest: "{{ playbook_dir }}/out/", remote_src: true', 'mkdir -p out'),
        ('from the host with a slash', 'src: "{{ playbook_dir }}/files/t/", dest: "{{ playbook_dir }}/out/", remote_src: true, directory_mode: "0711"', 'mkdir -p out'),
        ('backups', 'src: t/, dest: "{{ playbook_dir }}/out/", backup: true', 'mkdir -p out; printf one > out/a'),
]:
    first = f'- shell: {before}\n  args: {{chdir: "{{{{ playbook_dir }}}}"}}\n  changed_when: false\n' if before else ''
    task = f'- copy: {{{args}}}\n  register: c\n  ignore_errors: true\n- debug: msg="{{{{ c.changed }}}} {{{{ c.dest | default("-") | basename }}}}"\n'
    t(title, SOURCE + first + task + task + SHOWN)
t('only what changed', SOURCE + '''
- copy: {src: t/, dest: "{{ playbook_dir }}/out/"}
- shell: printf three > files/t/sub/b; rm out/sub/deep/c; chmod 600 out/a
  args: {chdir: "{{ playbook_dir }}"}
  changed_when: false
- copy: {src: t/, dest: "{{ playbook_dir }}/out/"}
- copy: {src: t/, dest: "{{ playbook_dir }}/out/"}
''' + SHOWN)
t('looked at only', SOURCE + '''
- shell: mkdir -p out/sub; printf old > out/sub/b
  args: {chdir: "{{ playbook_dir }}"}
  check_mode: false
  changed_when: false
- copy: {src: t/, dest: "{{ playbook_dir }}/out/"}
- copy: {src: t/sub/, dest: "{{ playbook_dir }}/out/sub"}
''' + SHOWN, args='--check')


def main():
    HERE.mkdir(exist_ok=True)
    total = 0
    for name, cases in FAMILIES.items():
        out = []
        for title, files, args in cases:
            lines = [f'== {title.strip()}']
            for path, text in files:
                lines += [f'@ {path}', *(text.split('\n') if text else [])]
            lines.append(f'> {args}'.rstrip())
            out.append('\n'.join(lines))
        titles = [c[0] for c in cases]
        assert len(titles) == len(set(titles)), [t for t in titles if titles.count(t) > 1]
        (HERE / f'{name}.txt').write_text('\n\n'.join(out) + '\n')
        total += len(cases)
    print(total, 'cases')


if __name__ == '__main__':
    main()
