/** A standby: its place, its role on the primary, and the base backup that a person begins. Pure. */
import { roleOf } from '../postgres/standby-role.ts';
import { callOf, hostFlags, serverCommand } from './commands.ts';
import type { PrimaryFacts, SetupFacts } from './facts.ts';
import { isIniReady, isPasswordKept, planInis } from './plan-inis.ts';
import { joined, nothing, type Plan, steps, todo } from './plan-parts.ts';
import { planQueues } from './plan-primary.ts';
import { planConfiguration } from './plan-server.ts';

type Seen = Extract<PrimaryFacts, { kind: 'seen' }>;

function hostOf({ hosts }: SetupFacts): string {
  return hosts[0]?.host ?? 'the primary';
}

function planRole(facts: SetupFacts, { role, ownName }: Seen): Plan {
  const { hasPassword, request } = facts;
  const name = roleOf(ownName);
  if (role === undefined || hasPassword || !isPasswordKept(facts, name)) return nothing;
  if (request.apply) return steps({ kind: 'make-role', role: name, where: 'primary' });
  return todo(
    'here',
    `the role ${name}, by which this host streams, has to be made on ${hostOf(facts)}; with --apply this does it over ssh:`,
    `${callOf(facts, 'cmd_standby')} --setup --apply`,
  );
}

/** A server of another cluster that runs in pgdata, such as the one that a package has made. */
function planOwnServer(facts: SetupFacts): Plan {
  const { server, cluster, systemIdentifier, archiveOf } = facts;
  // A standby that still starts, or that answers no queries: what it does is shown by --check.
  const isOurs = systemIdentifier !== undefined && systemIdentifier === archiveOf;
  if (server.kind === 'unasked' && isOurs) return nothing;
  if (server.kind === 'stopped' || (server.kind === 'seen' && server.isInRecovery)) return nothing;
  const { as, line } = serverCommand(facts, 'stop');
  const what = server.kind === 'unasked' ? ` (${server.reason})` : '';
  return todo(
    as === 'root' ? 'here, as root' : 'here',
    `a server runs here in ${cluster.pgdata}${what}; -B replaces its data, so look first that it holds nothing of value:`,
    line,
  );
}

function forceFlag({ request: { force } }: SetupFacts): string {
  if (force === undefined) return '';
  return force === true ? ' --force' : ` --force=${force}`;
}

function planBackup(facts: SetupFacts): Plan {
  const { systemIdentifier, archiveOf, server } = facts;
  const call = callOf(facts, 'cmd_standby');
  if (systemIdentifier !== archiveOf)
    return todo(
      'here',
      'make the base backup, then start the standby:',
      `${call} -B${forceFlag(facts)}`,
      `${call} -S`,
    );
  return server.kind === 'stopped' ? todo('here', 'start the standby:', `${call} -S`) : nothing;
}

function planPlace(facts: SetupFacts, primary: Seen): Plan {
  const inis = planInis(facts);
  const stop = planOwnServer(facts);
  if (stop.todos.length > 0 || !primary.hasHelpers || !isIniReady(facts, inis, 'standby')) return stop;
  if (facts.archiveOf === undefined) return steps({ kind: 'initialize', program: 'cmd_standby' });
  const backup = planBackup(facts);
  if (backup.todos.length > 0) return backup;
  return planQueues(
    facts,
    inis,
    facts.hosts.map(({ host }) => host),
  );
}

export function planStandby(facts: SetupFacts): Plan {
  const { primary, hostName, me, request } = facts;
  const on = `on ${hostOf(facts)}, as ${me}`;
  const call = callOf(facts, 'cmd_archiver');
  if (request.others.length > 1) return nothing;
  switch (primary.kind) {
    case 'unasked':
      return nothing;
    case 'no-ini':
      return todo(
        on,
        `there is no ${primary.path} on ${hostOf(facts)} yet`,
        `${call} --setup ${hostFlags('primary', [{ host: hostName, port: undefined }])} --apply`,
      );
    case 'unusable':
      return todo(on, `${primary.reason}. ${primary.hint}`);
    case 'seen':
      return joined(
        primary.hasHelpers
          ? nothing
          : todo(on, 'the helper functions are not installed there', `${call} --setup --apply`),
        planConfiguration(facts),
        isIniReady(facts, planInis(facts), 'standby') ? planRole(facts, primary) : nothing,
        planPlace(facts, primary),
      );
  }
}
