/** The primary: its server, its queues, and what is left for the standbys. Pure. */
import { roleOf } from '../postgres/standby-role.ts';
import { callOf, hostFlags, serverCommand, typedWord } from './commands.ts';
import type { SetupFacts } from './facts.ts';
import { isIniReady, isPasswordKept, planInis } from './plan-inis.ts';
import { joined, nothing, type Plan, steps, todo } from './plan-parts.ts';
import { planConfiguration } from './plan-server.ts';

const needsApply = 'run this again with --apply';

function planHelpers({ server, helperFile, request, me, programFolder }: SetupFacts): Plan {
  if (server.kind !== 'seen' || server.hasHelpers) return nothing;
  if (helperFile === undefined)
    return todo(
      'here',
      'the helper functions are not installed, and their files are not found: see doc/helper-sql.md',
    );
  if (request.apply) return steps({ kind: 'install-helpers', file: helperFile });
  const psql = programFolder === undefined ? 'psql' : `${programFolder}/psql`;
  // Another server of this host may be the one that psql finds by itself.
  const at = `-h ${typedWord(server.socketDirectory)} -p ${server.port}`;
  return todo(
    'here',
    `the helper functions are not installed; ${needsApply}, or:`,
    `${typedWord(psql)} ${at} -U ${me} -d postgres < ${typedWord(helperFile)}`,
  );
}

/** The role of this host, for the time when it is a standby. */
function planOwnRole(facts: SetupFacts): Plan {
  const { server, request, hostName, hasPassword } = facts;
  const role = roleOf(hostName);
  if (server.kind !== 'seen' || server.role === undefined || hasPassword || !isPasswordKept(facts, role))
    return nothing;
  if (request.apply) return steps({ kind: 'make-role', role, where: 'here' });
  return todo(
    'here',
    `the role ${role}, by which this host streams once it is a standby, has to be made: ${needsApply}`,
  );
}

/** Queues for all standbys, of this cluster. */
export function planQueues(facts: SetupFacts, inis: Plan, names: readonly string[]): Plan {
  const { queuesOf, systemIdentifier, queues } = facts;
  const isComplete = queuesOf !== undefined && names.every((name) => queues.includes(name));
  if (isComplete || systemIdentifier === undefined || !isIniReady(facts, inis, 'archiver')) return nothing;
  return steps({ kind: 'initialize', program: 'cmd_archiver' });
}

function planStandbys(facts: SetupFacts): Plan {
  const { hosts, hostName, me } = facts;
  const waiting = hosts.filter(({ login, hasArchive }) => login.kind === 'in' && hasArchive === false);
  const self = hostFlags('standby', [{ host: hostName, port: undefined }]);
  return joined(
    ...waiting.map(({ host, archiveRefusal }) =>
      todo(
        `on ${host}, as ${me}`,
        archiveRefusal === undefined
          ? `the archive of ${host} is not made yet`
          : `${host} does not show its archive: ${archiveRefusal}`,
        `${callOf(facts, 'cmd_standby')} --setup ${self} --apply`,
      ),
    ),
  );
}

export function planPrimaryServer(facts: SetupFacts): Plan {
  const { server, hosts, cluster } = facts;
  const inis = planInis(facts);
  const queues = planQueues(
    facts,
    inis,
    hosts.map(({ name, host }) => name ?? host),
  );
  if (server.kind === 'stopped') {
    const { as, line } = serverCommand(facts, 'start');
    return joined(
      queues,
      todo(as === 'root' ? 'here, as root' : 'here', `no server runs in ${cluster.pgdata}`, line),
    );
  }
  if (server.kind === 'unasked')
    return joined(queues, todo('here', `the server in ${cluster.pgdata} cannot be asked: ${server.reason}`));
  return joined(
    planConfiguration(facts),
    planHelpers(facts),
    isIniReady(facts, inis, 'standby') ? planOwnRole(facts) : nothing,
    queues,
    planStandbys(facts),
  );
}
