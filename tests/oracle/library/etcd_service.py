#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Stand-in for Quorate's etcd_service, so that the shipped roles can be run by ansible-core for comparison.

Members that systemd runs only: nothing else is compared.
"""
import subprocess

from ansible.module_utils.basic import AnsibleModule


def ask(*words):
    return subprocess.run(['systemctl', *words], capture_output=True, text=True)


def main():
    module = AnsibleModule({
        'state': {'required': True, 'choices': ['started', 'stopped', 'restarted', 'absent']},
        'enabled': {'type': 'bool'}, 'no_block': {'type': 'bool', 'default': False},
        'process': {'type': 'dict', 'default': {}}, 'data': {'type': 'path'},
    }, supports_check_mode=True)
    args = module.params
    process = args['process'] or {}
    if process.get('runtime', 'systemd') != 'systemd':
        module.fail_json(msg='this stand-in knows members that systemd runs')
    unit, state, enabled = process.get('name') or 'etcd', args['state'], args['enabled']
    if state == 'absent':
        state, enabled = 'stopped', False
    active = ask('is-active', unit).stdout.strip() in ('active', 'activating', 'reloading')
    steps = []
    if enabled is not None and (ask('is-enabled', unit).returncode == 0) != enabled:
        steps.append(['enable' if enabled else 'disable', unit])
    if state == 'restarted' or active != (state == 'started'):
        verb = {'started': 'start', 'stopped': 'stop', 'restarted': 'restart'}[state]
        steps.append([verb, *(['--no-block'] if args['no_block'] else []), unit])
    for step in [] if module.check_mode else steps:
        done = ask(*step)
        if done.returncode != 0:
            module.fail_json(msg='systemctl %s: %s' % (' '.join(step), done.stderr.strip()))
    module.exit_json(changed=bool(steps), name=unit, state=state)


main()
