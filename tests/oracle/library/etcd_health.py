#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Stand-in for Quorate's etcd_health: waits until every named member serves. Changes nothing."""
import time

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.quorate_etcd import TLS, observe, summary


def missing(args, views):
    """What is not as expected yet, in words; empty when all is well."""
    lacks = []
    for host, view in views.items():
        learner = args['expect'] == 'learner'
        if 'error' in view:
            lacks.append('%s does not answer: %s' % (host, view['error']))
        elif view['leader'] == '0':
            lacks.append('%s knows no leader' % host)
        elif view['learner'] and not learner:
            lacks.append('%s is still a learner' % host)
        elif not view['learner'] and not view['healthy']:
            lacks.append('%s does not read linearizably: %s' % (host, view.get('trouble')))
    whole = summary(views, args['members'])
    if len(whole['cluster_ids']) > 1:
        lacks.append('members answer for different clusters: %s' % ', '.join(whole['cluster_ids']))
    started = [member for member in whole['members'] if member['started']]
    if args['count'] is not None and len(started) != args['count']:
        lacks.append('%d members are started, %d expected' % (len(started), args['count']))
    return lacks


def main():
    module = AnsibleModule(dict(TLS, members={'type': 'dict', 'required': True}, count={'type': 'int'},
                                timeout={'type': 'int', 'default': 60},
                                expect={'type': 'str', 'default': 'voters', 'choices': ['voters', 'learner']}),
                           supports_check_mode=True)
    if module.check_mode:
        module.exit_json(changed=False, skipped=True)
    deadline = time.monotonic() + module.params['timeout']
    while True:
        views = observe(module.params, module.params['members'])
        lacks = missing(module.params, views)
        if not lacks:
            module.exit_json(changed=False, **summary(views, module.params['members']))
        if deadline < time.monotonic():
            module.fail_json('not healthy after %d s: %s' % (module.params['timeout'], '; '.join(lacks)))
        time.sleep(0.3)


main()
