/** The two INI files. Pure. */
import { basename } from 'node:path';
import { parseIniText } from '../config/ini-text.ts';
import { resolveSection } from '../config/ini-values.ts';
import { roleOf } from '../postgres/standby-role.ts';
import { typedWord } from './commands.ts';
import type { HostFacts, SetupFacts } from './facts.ts';
import { archiverIniText, standbyIniText } from './ini-texts.ts';
import { judgeIni } from './own-file.ts';
import { queueDirectoryFor, sshWords } from './places.ts';
import { joined, nothing, type Plan, steps, todo } from './plan-parts.ts';

/** Whom this host feeds once it is the primary: on a standby the primary, and the other standbys. */
function fedHosts({ request, hosts, primary }: SetupFacts): readonly HostFacts[] {
  return request.role === 'primary' || primary.kind === 'seen' ? hosts : [];
}

/** A file under its usual name is found without a key. */
const unlessUsual = (path: string, usual: string) => (basename(path) === usual ? undefined : path);

function archiverText(facts: SetupFacts, archive: string): string | undefined {
  const { places, me, cluster, programFolder } = facts;
  const fed = fedHosts(facts);
  if (fed.length === 0) return undefined;
  return archiverIniText({
    pgdata: cluster.pgdata,
    standbys: fed.map((host) => ({
      name: host.name ?? host.host,
      host: host.name === undefined ? undefined : host.host,
      ssh: sshWords(places, host, 'archive'),
      archive: host.archive ?? archive,
    })),
    archive,
    queues: facts.queueDirectory ?? queueDirectoryFor(archive),
    standbyIni: unlessUsual(places.standbyIni, 'cmd_standby.ini'),
    user: me,
    psql: programFolder === undefined ? undefined : `${programFolder}/psql`,
  });
}

function standbyText(facts: SetupFacts, archive: string): string | undefined {
  const { request, places, me, cluster, programFolder, hosts, primary, server, capabilities } = facts;
  const [first] = hosts;
  const there = request.role === 'primary' ? server : primary;
  if (first === undefined || there.kind !== 'seen') return undefined;
  const ownName = primary.kind === 'seen' ? primary.ownName : facts.hostName;
  const canStream = capabilities?.hasReplicationRoles === true;
  return standbyIniText({
    primary: first.host,
    publicName: ownName === facts.hostName ? undefined : ownName,
    port: there.port,
    localAddress: there.socketDirectory,
    pgdata: cluster.pgdata,
    archive,
    archiverIni: unlessUsual(places.archiverIni, 'cmd_archiver.ini'),
    ssh: sshWords(places, first, 'data'),
    user: me,
    streaming: canStream ? { role: roleOf(ownName), password: facts.password } : undefined,
    programs: programFolder,
  });
}

/** Without these two the rest of --setup would do something else than what was asked for. */
const essential = /^\[DEFAULT\] (slaves|master_public_ip|pgdata|r_archivedir|archivedir):/;

function planFile(path: string, existing: string | undefined, wanted: string, isSecret: boolean): Plan {
  const verdict = judgeIni(existing, wanted);
  if (verdict.kind === 'right') return nothing;
  if (verdict.kind === 'to-write') return steps({ kind: 'write-file', path, text: wanted, isSecret });
  const { differences } = verdict;
  if (!differences.some((line) => essential.test(line)))
    return {
      ...nothing,
      notes: differences.map((line) => `${path} was changed by hand, and stays as it is: ${line}`),
    };
  return todo(
    'here',
    `${path} was written or changed by hand, and is not overwritten. Change these lines in it, or move it away:`,
    ...differences.map((line) => `# ${line}`),
    `mv -n ${typedWord(path)} ${typedWord(`${path}.own`)}`,
  );
}

export function planInis(facts: SetupFacts): Plan {
  const { places, texts, archive } = facts;
  if (archive === undefined) return nothing;
  const archiver = archiverText(facts, archive);
  const standby = standbyText(facts, archive);
  const planOf = (path: string, text: string | undefined, isSecret: boolean) =>
    text === undefined ? nothing : planFile(path, texts.get(path), text, isSecret);
  return joined(planOf(places.archiverIni, archiver, false), planOf(places.standbyIni, standby, true));
}

/**
 * Whether cmd_standby's INI file has the password of this run for that role. Otherwise a person streams in another way, by .pgpass
 * or another role: a password that is in no file must not become that of the role.
 */
export function isPasswordKept({ places, texts, password }: SetupFacts, role: string): boolean {
  const { entries } = resolveSection(parseIniText(texts.get(places.standbyIni) ?? ''), 'DEFAULT');
  return entries.get('repl_db_user')?.value === role && entries.get('repl_db_password')?.value === password;
}

/** Whether the INI file of a program is as this run wants it: until then nothing is done with it. */
export function isIniReady(
  { places, texts }: SetupFacts,
  plan: Plan,
  program: 'archiver' | 'standby',
): boolean {
  const path = program === 'archiver' ? places.archiverIni : places.standbyIni;
  const isPlanned = plan.steps.some((step) => step.kind === 'write-file' && step.path === path);
  return texts.has(path) && !isPlanned;
}
