/** The next steps of --setup, and those that are left to a person. Pure: it depends on the facts alone. */
import { refusal, usageError } from '../errors.ts';
import { addressText } from '../host-address.ts';
import { authorizedLine } from './authorized.ts';
import { callOf, hostFlags, knownHostName, typedWord } from './commands.ts';
import type { HostFacts, SetupFacts } from './facts.ts';
import { planInis } from './plan-inis.ts';
import { joined, nothing, type Plan, steps, todo } from './plan-parts.ts';
import { planPrimaryServer } from './plan-primary.ts';
import { planStandby } from './plan-standby.ts';
import { isAuthorized, keySides, keyText, type PublicKey } from './public-key.ts';

/** The command for the other host that lets our keys in. */
function authorizeThere(facts: SetupFacts, { host }: HostFacts, keys: readonly PublicKey[]): Plan {
  const { request, hostName, me, hosts } = facts;
  const [first] = hosts;
  // Another standby, as this one, names the primary.
  const primary =
    request.role === 'primary'
      ? { host: hostName, port: undefined }
      : host === first?.host
        ? undefined
        : first;
  const [program, flags] =
    primary === undefined
      ? (['cmd_archiver', ''] as const)
      : (['cmd_standby', ` ${hostFlags('standby', [primary])}`] as const);
  return todo(
    `on ${host}, as ${me}`,
    `${host} does not let our keys in yet; this appends them to ~${me}/.ssh/authorized_keys there:`,
    `${callOf(facts, program)} --setup${flags} --authorize ${keys.map((key) => `'${keyText(key)}'`).join(' ')}`,
    '# or append these lines yourself:',
    ...keys.map((key) => authorizedLine(facts, key)),
  );
}

function ownKeyList({ ownKeys }: SetupFacts): readonly PublicKey[] {
  return ownKeys === undefined ? [] : keySides.map((side) => ownKeys[side]);
}

function planLogin(facts: SetupFacts, host: HostFacts): Plan {
  const { places, me } = facts;
  const keys = ownKeyList(facts);
  const { login } = host;
  const address = { host: host.host, port: host.port };
  switch (login.kind) {
    case 'in':
    case 'no-key':
      return nothing;
    case 'unknown-host':
      return steps({ kind: 'pin-host', address });
    case 'changed-host':
      return todo(
        'here',
        `the host key of ${host.host} is not the pinned one: it was changed there, or another host answers (${login.reason}). If it was changed on purpose:`,
        `ssh-keygen -f ${typedWord(places.knownHosts)} -R ${typedWord(knownHostName(address))}`,
      );
    case 'denied':
      if (keys.length === 0) return nothing;
      return login.byOwnKeys
        ? steps({ kind: 'send-keys', address, keys })
        : authorizeThere(facts, host, keys);
    case 'noisy':
      return todo(`on ${host.host}`, `${login.reason}: a login that is not interactive must print nothing`);
    case 'no-answer':
      return todo(
        'here',
        `${host.host} does not answer by ssh (${login.reason}): check its name, its sshd, the port and firewalls. This must work:`,
        `ssh${host.port === undefined ? '' : ` -p ${host.port}`} ${me}@${typedWord(host.host)} true`,
      );
  }
}

function planKeys(facts: SetupFacts): Plan {
  const { ownKeys, places, request, authorized, hosts } = facts;
  const make = ownKeys === undefined ? steps({ kind: 'make-keys', directory: places.ssh }) : nothing;
  const keys = request.authorize.filter((key) => !isAuthorized(authorized.text, key));
  const authorize = keys.length > 0 ? steps({ kind: 'authorize', path: authorized.path, keys }) : nothing;
  return joined(make, authorize, ...hosts.map((host) => planLogin(facts, host)));
}

/** Refuses a call on the wrong host. */
function requireRightHost({ request, server, hosts, ownAddresses }: SetupFacts): void {
  const self = hosts.find(({ addresses }) => addresses.some((address) => ownAddresses.includes(address)));
  if (self !== undefined)
    throw refusal(`${addressText(self)} is this very host`, {
      hint:
        request.role === 'primary'
          ? 'Run cmd_archiver --setup on the primary, and name the other hosts by --standby.'
          : 'Run cmd_standby --setup on the standby, and name the primary by --primary.',
    });
  if (server.kind !== 'seen') return;
  if (request.role === 'primary' && server.isInRecovery)
    throw refusal('the server here is a standby, not a primary', {
      hint: 'Run cmd_archiver --setup on the primary; on a standby it is cmd_standby --setup --primary HOST.',
    });
  const command = server.settings.get('archive_command')?.value ?? '';
  const mode = server.settings.get('archive_mode')?.value ?? 'off';
  if (
    request.role === 'standby' &&
    !server.isInRecovery &&
    mode !== 'off' &&
    /\bcmd_archiver\b/.test(command)
  )
    throw refusal('the server here is a primary that archives by cmd_archiver', {
      hint: 'Run cmd_standby --setup on the standby. A former primary becomes one by --rejoin (doc/rejoin.md).',
    });
}

/** @throws a refusal if this is the wrong host */
export function planSetup(facts: SetupFacts): Plan {
  const { request, hosts } = facts;
  if (hosts.length === 0)
    throw usageError(
      'no INI file here names the other host yet',
      request.role === 'primary' ? 'Add it: --setup --standby HOST' : 'Add it: --setup --primary HOST',
    );
  requireRightHost(facts);
  const keys = planKeys(facts);
  const role = request.role === 'primary' ? planPrimaryServer(facts) : planStandby(facts);
  return joined(keys, planInis(facts), role);
}
