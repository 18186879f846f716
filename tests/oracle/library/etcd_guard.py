#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Stand-in for Quorate's etcd_guard: may these members go away? The arithmetic only; opens no gate."""
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.quorate_etcd import TLS, observe, summary


def main():
    module = AnsibleModule(dict(TLS, members={'type': 'dict', 'required': True},
                                hosts={'type': 'list', 'elements': 'str', 'required': True},
                                step={'type': 'str', 'required': True, 'choices': ['purge', 'stop', 'restart']}),
                           supports_check_mode=True)
    args = module.params
    seen = summary(observe(args, args['members']), args['members'])
    peers = {args['members'][host]['peer'] for host in args['hosts']}
    voters = [member for member in seen['members'] if not member['learner']]
    stay = [member for member in voters if not peers & set(member['peer_urls'])]
    if not seen['live'] or len(stay) == len(voters) or not stay:
        module.exit_json(changed=False, why=seen['why'])
    healthy, need = sum(member['healthy'] for member in stay), len(voters) // 2 + 1
    facts = '%d of %d voters would remain healthy; quorum needs %d (%s)' % (
        healthy, len(voters), need, '; '.join(seen['why']))
    if healthy < need:
        module.fail_json('%s of %s would lose quorum: %s. Nothing was stopped' % (
            args['step'], ', '.join(args['hosts']), facts))
    module.exit_json(changed=False, why=[facts])


main()
