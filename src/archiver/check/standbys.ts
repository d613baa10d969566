/** The checks of cmd_archiver --check that one connection to each standby answers. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  dependent,
  failure,
  good,
  of,
  skipped,
  unknown,
  type Verdict,
  verdictOfError,
} from '../../check/check.ts';
import { askRsync, linksHere } from '../../check/here.ts';
import { judgeClock, judgeOtherProgram, judgeRsync, judgeSpace } from '../../check/judge.ts';
import { judgeLinks } from '../../check/links.ts';
import { judgeLogin as judgeKey } from '../../check/login.ts';
import { spaceIn } from '../../check/space.ts';
import { judgeSshFailure } from '../../check/ssh-trouble.ts';
import { isLoopback, isThisHost } from '../../system/own-addresses.ts';
import { quoted } from '../../system/printable.ts';
import { programVersion } from '../../system/program-root.ts';
import { noiseHint } from '../../system/ssh.ts';
import { healthHints } from '../status/judge.ts';
import { walDirectory } from '../wal/ready-files.ts';
import type { ArchiverCheck, CheckedStandby } from './context.ts';
import type { HostFacts, Survey } from './survey.ts';

function eachStandby(
  { standbys }: ArchiverCheck,
  judge: (standby: CheckedStandby) => Promise<Verdict | readonly Verdict[]>,
): Promise<readonly Verdict[]> {
  const verdicts = standbys.map(async (standby) => {
    const found = await judge(standby).catch(verdictOfError);
    return [found].flat().map((verdict) => of(standby.lane.name, verdict));
  });
  return Promise.all(verdicts).then((all) => all.flat());
}

/** The same for the hosts that were reached. */
function eachReached(
  check: ArchiverCheck,
  judge: (survey: Survey, standby: CheckedStandby) => Verdict | readonly Verdict[],
): Promise<readonly Verdict[]> {
  return eachStandby(check, async (standby) => {
    const surveyed = await standby.survey().catch(() => undefined);
    if (surveyed?.kind === 'used') return judge(surveyed.value, standby);
    return dependent('it was not reached', 'ssh');
  });
}

/** Run on the standby, with the primary's INI file, everything would be sent in a circle. */
export function checkHosts(check: ArchiverCheck): Promise<readonly Verdict[]> {
  return eachStandby(check, async ({ lane: { standby } }) => {
    const { host } = standby;
    if (!(await isThisHost(host))) return good(`${host} is another host`);
    if (host === 'localhost' || isLoopback(host))
      return good(
        `${host} is this very host`,
        'That is right only if both servers run on this machine, or for a tunnel.',
      );
    return failure(
      `the standby ${host} is this very host`,
      'Run cmd_archiver with this INI file only on the primary, and correct slaves: (or host: in its section).',
    );
  });
}

export function checkSsh(check: ArchiverCheck): Promise<readonly Verdict[]> {
  return eachStandby(check, async ({ survey }) => {
    const surveyed = await survey();
    const { target } = surveyed;
    if (surveyed.kind === 'used')
      return judgeKey(`${target.user}@${target.host}`, surveyed.value.facts?.isForced === true);
    if (surveyed.kind === 'noisy') return failure(surveyed.reason, noiseHint);
    return judgeSshFailure(target, surveyed.reason, surveyed.said ?? '', { key: 'slaves', me: check.me });
  });
}

export function checkArchives(check: ArchiverCheck): Promise<readonly Verdict[]> {
  return eachReached(check, ({ archive }, { lane }) => {
    const { r_archivedir } = lane.standby;
    if (archive === undefined) return dependent('the cluster here is not known', 'pgdata');
    if (archive.trouble === undefined)
      return good(`${r_archivedir} is of this cluster, can be written, and has hard links`);
    const { kind, reason, hint } = archive.trouble;
    const way =
      hint ??
      (/[Pp]ermission denied/.test(reason)
        ? `Make ${r_archivedir} writable there for user ${lane.standby.user}: chown and chmod 0700.`
        : healthHints[kind]?.(check.command, lane.name));
    return failure(reason, way);
  });
}

/** Which cluster's data it has is the check of the archive; a base backup of another version could not replay this WAL. */
function judgePostgres(host: string, status: Survey['status'], ours: string | undefined): readonly Verdict[] {
  if (status === undefined) return [];
  if (status.kind !== 'answered')
    return [
      unknown(
        `the version of PostgreSQL on ${host} is not known: ${quoted(status.reason, 300)}`,
        'Run cmd_standby -C FILE --check there.',
      ),
    ];
  const { server, version } = status.answer;
  if (server === 'no-data') return [skipped(`there is no base backup on ${host} yet`)];
  if (version === undefined || ours === undefined)
    return [unknown(`the version of PostgreSQL is not known ${ours === undefined ? 'here' : `on ${host}`}`)];
  if (version === ours) return [good(`${host} has a base backup of PostgreSQL ${ours}, as this server is`)];
  return [
    failure(
      `the base backup on ${host} is of PostgreSQL ${quoted(version, 20)}, and the server here of ${ours}`,
      'Install the same major version there, and make a new base backup: cmd_standby -C FILE -B.',
    ),
  ];
}

export async function checkVersions(check: ArchiverCheck): Promise<readonly Verdict[]> {
  const { rsync_version, pgdata, rsync_bin, includepath } = check.deps.settings;
  const [ours, here] = await Promise.all([
    readFile(join(pgdata, 'PG_VERSION'), 'utf8').then(
      (text) => text.trim(),
      () => undefined,
    ),
    askRsync(check.deps.run, rsync_bin, includepath),
  ]);
  return eachReached(check, ({ facts, archive, program, status }, { lane: { standby } }) => {
    const rsync =
      facts === undefined
        ? unknown('it did not answer')
        : judgeRsync(standby.host, { here, there: facts.rsync }, rsync_version === 2 ? 2 : 3);
    if (program !== undefined)
      return [
        rsync,
        judgeOtherProgram(standby.host, program, programVersion()),
        ...judgePostgres(standby.host, status, ours),
      ];
    const why =
      archive?.trouble === undefined
        ? 'the sentinel there does not name cmd_standby'
        : 'the sentinel there was not read';
    return [rsync, unknown(why, 'Run cmd_standby -C FILE -I there once.')];
  });
}

function spaceThere({ space, inodes }: HostFacts, path: string, { deps }: ArchiverCheck): Verdict {
  const use = spaceIn(space, inodes);
  return use === undefined
    ? unknown(`df does not say how much is free for ${path}`)
    : judgeSpace(deps.settings, { name: 'archivedir', path }, use);
}

export function checkSpaceThere(check: ArchiverCheck): Promise<readonly Verdict[]> {
  return eachReached(check, ({ facts }, { lane: { standby } }) =>
    facts === undefined ? unknown('it did not answer') : spaceThere(facts, standby.r_archivedir, check),
  );
}

/** Here on the way of what is sent, and there on the way to archivedir. */
export async function checkLinks(check: ArchiverCheck): Promise<readonly Verdict[]> {
  const { run, settings } = check.deps;
  const pgWal = await walDirectory(settings.pgdata).catch(() => settings.pgdata);
  const [ofWal, ofQueues, ofStandbys] = await Promise.all([
    linksHere(run, 'pg_wal', pgWal),
    linksHere(run, 'l_archivedir', settings.l_archivedir),
    eachReached(check, ({ facts }, { lane: { standby } }) =>
      facts === undefined
        ? unknown('it did not answer')
        : judgeLinks('archivedir', standby.r_archivedir, facts.links),
    ),
  ]);
  return [of('pg_wal', ofWal), of('l_archivedir', ofQueues), ...ofStandbys];
}

export function checkClocks(check: ArchiverCheck): Promise<readonly Verdict[]> {
  return eachReached(check, ({ facts }, { lane: { standby } }) => judgeClock(standby.host, facts?.clock));
}
