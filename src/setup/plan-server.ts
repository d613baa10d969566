/** The configuration of this host's server: our file in conf.d or ALTER SYSTEM, and pg_hba.conf. Pure. */
import { join } from 'node:path';
import { isWithin } from '../config/path-values.ts';
import { settingLine, sqlLiteral } from '../postgres/quoting.ts';
import { serverCommand } from './commands.ts';
import type { SetupFacts } from './facts.ts';
import { hbaLines, missingHbaLines } from './hba-block.ts';
import { judgeText } from './own-file.ts';
import { joined, nothing, type Plan, steps, todo } from './plan-parts.ts';
import {
  archiveCommandFor,
  callsAs,
  confText,
  type CurrentSettings,
  foreignArchiving,
  overriddenIn,
  type Want,
  wantsOf,
} from './server-wants.ts';

const applyHint = 'or run this again with --apply, which does it:';

/** The settings of the server that this --setup is about: on a standby only once it runs as one. */
function currentOf({ request, server }: SetupFacts): CurrentSettings | undefined {
  if (server.kind !== 'seen') return undefined;
  return request.role === 'standby' && !server.isInRecovery ? undefined : server.settings;
}

function inConfFile(facts: SetupFacts, file: string, wants: readonly Want[]): Plan {
  const { texts, request } = facts;
  const text = confText(wants, currentOf(facts), file);
  const verdict = judgeText(texts.get(file), text);
  if (verdict.kind === 'right') return nothing;
  if (verdict.kind === 'to-write' && request.apply)
    return steps({ kind: 'write-file', path: file, text, isSecret: false });
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  const why =
    verdict.kind === 'differs'
      ? `${file} was changed by hand, and is not overwritten; it lacks these lines:`
      : `the server needs these lines in ${file}, ${applyHint}`;
  return todo('here', why, ...(verdict.kind === 'differs' ? verdict.differences : lines));
}

/** Without a directory of its own for settings: ALTER SYSTEM, or lines for a person to add. */
function inAutoConf(facts: SetupFacts, unmet: readonly Want[]): Plan {
  const { autoConf, capabilities, request, cluster } = facts;
  const missing = unmet.filter(({ name, value }) => autoConf.get(name) !== value);
  if (missing.length === 0) return nothing;
  if (capabilities?.hasAutoConf !== true)
    return todo(
      'here',
      `add these lines to ${cluster.configFile}:`,
      ...missing.map(({ name, value }) => settingLine(name, value, 'parameter')),
    );
  const statements = missing.map(({ name, value }) => `ALTER SYSTEM SET ${name} = ${sqlLiteral(value)}`);
  if (request.apply) return steps({ kind: 'alter-system', statements });
  return todo('here', `in psql, ${applyHint}`, ...statements.map((sql) => `${sql};`));
}

/** Settings that our file has in vain: no restart would put them into force. */
function planOverridden({ overriding, autoConf, confFile }: SetupFacts, wants: readonly Want[]): Plan {
  if (wants.length === 0) return nothing;
  const lineOf = ({ name, value }: Want): string => {
    const { file, value: there } = overriding.get(name) ?? { file: '', value: '' };
    return `# in ${file}: ${settingLine(name, there, 'parameter')} → ${settingLine(name, value, 'parameter')}`;
  };
  return todo(
    'here',
    `the server reads these settings after ${confFile ?? ''}, so they count instead of ours. Remove them, or change them to what is shown, and reload:`,
    ...wants.map((want) => (autoConf.has(want.name) ? `ALTER SYSTEM RESET ${want.name};` : lineOf(want))),
  );
}

/** Settings that are in the file, but not in force yet. */
function planPending(facts: SetupFacts, unmet: readonly Want[]): Plan {
  const restart = unmet.filter(({ needsRestart }) => needsRestart).map(({ name }) => name);
  const isReloadNeeded = unmet.length > restart.length;
  const { as, line } = serverCommand(facts, 'restart');
  return joined(
    isReloadNeeded && facts.request.apply ? steps({ kind: 'reload' }) : nothing,
    restart.length === 0
      ? nothing
      : todo(
          as === 'root' ? 'here, as root' : 'here',
          `only a restart of the server puts these into force: ${restart.join(', ')}`,
          line,
        ),
  );
}

function planSettings(facts: SetupFacts): Plan {
  const { capabilities, confFile, programs, places, configured } = facts;
  if (capabilities === undefined) return nothing;
  const current = currentOf(facts);
  const command = archiveCommandFor(programs.cmd_archiver.path, places.archiverIni);
  const foreign = foreignArchiving(current ?? configured, command);
  const there = (current ?? configured).get('archive_command')?.value ?? '';
  // A program that is joined to our call stays.
  const kept = callsAs(command, there) ? there : command;
  const wants = wantsOf(capabilities, kept, current).filter(
    ({ name }) => foreign === undefined || name !== 'archive_command',
  );
  const objection =
    foreign === undefined
      ? nothing
      : todo(
          'here',
          `the server archives by another program (${foreign}), which is never replaced unasked. If it is not needed any more, set:`,
          settingLine('archive_command', command, 'parameter'),
        );
  const unmet = wants.filter(({ isMet }) => !isMet);
  // The file also loses what it does not need any more only together with another change.
  if (current !== undefined && unmet.length === 0) return objection;
  const written = confFile === undefined ? inAutoConf(facts, unmet) : inConfFile(facts, confFile, wants);
  const isWritten = written.steps.length === 0 && written.todos.length === 0;
  if (!isWritten || current === undefined) return joined(objection, written);
  const overridden = overriddenIn(facts.overriding, unmet);
  const pending = unmet.filter((want) => !overridden.includes(want));
  return joined(objection, planOverridden(facts, overridden), planPending(facts, pending));
}

function planHba(facts: SetupFacts): Plan {
  const { capabilities, server, cluster, hosts, ownAddresses, texts, request } = facts;
  if (capabilities?.hasReplicationRoles !== true) return nothing;
  const path = server.kind === 'seen' ? server.hbaFile : join(cluster.configFile, '..', 'pg_hba.conf');
  const text = texts.get(path);
  const addresses = [...hosts.flatMap((host) => host.addresses), ...ownAddresses];
  const lines = hbaLines(addresses, capabilities.passwordMethod);
  if (text === undefined) return nothing;
  const unknown = noteUnknownHosts(hosts, path);
  const missing = missingHbaLines(text, lines);
  if (missing.length === 0) return unknown;
  if (request.apply) return joined(unknown, steps({ kind: 'write-hba', path, lines: missing }));
  return joined(
    unknown,
    todo('here', `pg_hba.conf needs these lines at its top (${path}), ${applyHint}`, ...missing),
  );
}

/** A name that only ssh knows, by its own configuration, has no address for a line. */
function noteUnknownHosts(hosts: SetupFacts['hosts'], path: string): Plan {
  const unknown = hosts.filter(({ addresses }) => addresses.length === 0);
  const notes = unknown.map(
    ({ host }) =>
      `the address of ${host} is not known here, so --setup adds no line for it to ${path}: make the name known (DNS, /etc/hosts), or add a line by hand, or ${host} cannot stream from this server`,
  );
  return { ...nothing, notes };
}

/**
 * Configuration in a data directory that -B will replace: it keeps some of these files, and brings the others. The standby shows
 * what it lacks.
 */
function isToBeReplaced({ cluster, request, server }: SetupFacts): boolean {
  const isStandby = server.kind === 'seen' && server.isInRecovery;
  return request.role === 'standby' && !isStandby && isWithin(cluster.configFile, cluster.pgdata);
}

export function planConfiguration(facts: SetupFacts): Plan {
  const { request, server } = facts;
  if (isToBeReplaced(facts)) return nothing;
  const plan = joined(planSettings(facts), planHba(facts));
  const isRead = server.kind === 'seen' && (request.role === 'primary' || server.isInRecovery);
  const isChanged = plan.steps.some(({ kind }) => ['write-file', 'write-hba', 'alter-system'].includes(kind));
  const isReloaded = plan.steps.some(({ kind }) => kind === 'reload');
  const isStale = isRead && request.apply && !server.isHbaLoaded;
  return isRead && (isChanged || isStale) && !isReloaded ? joined(plan, steps({ kind: 'reload' })) : plan;
}
