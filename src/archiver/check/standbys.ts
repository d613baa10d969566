/** The checks of cmd_archiver --check that one connection to each standby answers. */
import { failure, good, of, skipped, unknown, type Verdict, verdictOfError } from '../../check/check.ts';
import { judgeClock, judgeOtherProgram, judgeRsync, judgeSpace } from '../../check/judge.ts';
import { spaceIn } from '../../check/space.ts';
import { judgeSshFailure } from '../../check/ssh-trouble.ts';
import { isLoopback, isThisHost } from '../../system/own-addresses.ts';
import { programVersion } from '../../system/program-root.ts';
import { noiseHint } from '../../system/ssh.ts';
import { healthHints } from '../status/judge.ts';
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
    return skipped('it was not reached: see the check ssh');
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
      return good(`ssh lets us in as ${target.user}@${target.host}, and the login prints nothing`);
    if (surveyed.kind === 'noisy') return failure(surveyed.reason, noiseHint);
    return judgeSshFailure(target, surveyed.reason, surveyed.said ?? '', { key: 'slaves', me: check.me });
  });
}

export function checkArchives(check: ArchiverCheck): Promise<readonly Verdict[]> {
  return eachReached(check, ({ archive }, { lane }) => {
    const { r_archivedir } = lane.standby;
    if (archive === undefined) return skipped('the cluster here is not known: see the check pgdata');
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

export function checkVersions(check: ArchiverCheck): Promise<readonly Verdict[]> {
  const { rsync_version } = check.deps.settings;
  return eachReached(check, ({ facts, archive, program }, { lane: { standby } }) => {
    const rsync =
      facts === undefined
        ? unknown('it did not answer')
        : judgeRsync(standby.host, facts.rsync, rsync_version === 2 ? 2 : 3);
    if (program !== undefined) return [rsync, judgeOtherProgram(standby.host, program, programVersion())];
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

export function checkClocks(check: ArchiverCheck): Promise<readonly Verdict[]> {
  return eachReached(check, ({ facts }, { lane: { standby } }) =>
    judgeClock(standby.host, facts?.skewS, facts?.withinS ?? 0),
  );
}
