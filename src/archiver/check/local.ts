/** The checks of cmd_archiver --check that look at this host's files, without the server. */
import { stat } from 'node:fs/promises';
import { failure, good, of, skipped, unknown, type Verdict, verdictOfError } from '../../check/check.ts';
import { judgeSpace } from '../../check/judge.ts';
import { checkPaths } from '../../check/paths.ts';
import { spaceOf } from '../../check/space.ts';
import { type ExpectedPath, listExpectedPaths } from '../../config/expected-paths.ts';
import { archiverOptions } from '../../config/options-archiver.ts';
import { inMegabytes } from '../../megabytes.ts';
import { systemErrorCode } from '../../system/durable.ts';
import { findForeignOwner, findOpenIni, letsOthersWrite, octalMode } from '../../system/file-modes.ts';
import { isLocked } from '../../system/lock.ts';
import { runningDataDirectories } from '../../system/postmaster.ts';
import { callersOf, readScheduled } from '../../system/units.ts';
import { shipperPlaces } from '../markers/places.ts';
import { findLeftovers } from '../queue/leftover-queues.ts';
import { findNoCompression } from '../queue/queued-frame.ts';
import { observeCondition } from '../status/facts.ts';
import { judgeLane } from '../status/judge.ts';
import { readCluster } from '../wal/cluster.ts';
import { walDirectory } from '../wal/ready-files.ts';
import type { ArchiverCheck } from './context.ts';

/** A program that a standby's own section names instead of the common one. */
export function ownPrograms({ ssh, standbys }: ArchiverCheck['deps']['settings']): readonly ExpectedPath[] {
  return standbys
    .filter((standby) => standby.ssh.program !== ssh.program)
    .map((standby) => ({ key: `[${standby.name}] ssh`, kind: 'program', path: standby.ssh.program }));
}

export async function checkOwnPaths({ deps: { settings } }: ArchiverCheck): Promise<readonly Verdict[]> {
  const expected: readonly ExpectedPath[] = [
    ...listExpectedPaths(archiverOptions, settings),
    // Shipping does not need it, but every question to the server does.
    { key: 'psql', kind: 'program', path: settings.psql.program },
    ...ownPrograms(settings),
  ];
  const paths = await checkPaths(expected, settings.includepath);
  const missing = await findNoCompression(settings);
  return missing === undefined
    ? paths
    : [...paths, of('queue_compress', failure(missing.message, missing.hint))];
}

export async function checkIniFile({ iniFile }: ArchiverCheck): Promise<Verdict> {
  const problem = (await findOpenIni(iniFile, false)) ?? (await findForeignOwner(iniFile));
  return problem === undefined
    ? good(`only its owner can change ${iniFile}`)
    : failure(problem.message, problem.hint === undefined ? undefined : `${problem.hint}.`);
}

/** PostgreSQL runs archive_command as the owner of pgdata: what another user made, it could not use. */
async function judgeOwner(key: string, path: string, me: string): Promise<Verdict> {
  const found = await stat(path).catch((error: unknown) => systemErrorCode(error) ?? String(error));
  if (found === 'ENOENT') return of(key, skipped(`${path} does not exist`));
  if (typeof found === 'string') return of(key, unknown(`${path} cannot be looked at: ${found}`));
  if (found.uid !== process.getuid?.())
    return of(
      key,
      failure(
        `${path} belongs to the user with the id ${found.uid}, and this runs as ${me}`,
        `Run this as the owner of pgdata, who also runs PostgreSQL; ${path} must be that user's.`,
      ),
    );
  if (key !== 'pgdata' && letsOthersWrite(found))
    return of(
      key,
      failure(`other users can change ${path} (mode ${octalMode(found)})`, `chmod go-w ${path}`),
    );
  return of(key, good(`${path} is ours`));
}

export function checkOwners({ deps: { settings }, me }: ArchiverCheck): Promise<readonly Verdict[]> {
  return Promise.all([
    judgeOwner('pgdata', settings.pgdata, me),
    judgeOwner('l_archivedir', settings.l_archivedir, me),
  ]);
}

/** Names the data directories of the servers that run on this host; undefined if there are none. */
export async function otherServers(): Promise<string | undefined> {
  const running = await runningDataDirectories();
  return running.length === 0
    ? undefined
    : `On this host PostgreSQL runs in ${running.join(', ')}: set pgdata: to the right one.`;
}

export async function checkDataDirectory(check: ArchiverCheck): Promise<Verdict> {
  const { pgdata, l_archivedir } = check.deps.settings;
  try {
    const { systemIdentifier } = await check.cluster();
    return good(`${pgdata} is cluster ${systemIdentifier}, to which ${l_archivedir} belongs`);
  } catch (error) {
    const verdict = verdictOfError(error);
    // An l_archivedir that -I has not seen says nothing against pgdata.
    const isRead = await readCluster(pgdata).then(
      () => true,
      () => false,
    );
    return isRead ? verdict : { ...verdict, hint: (await otherServers()) ?? verdict.hint };
  }
}

export async function checkLanes(check: ArchiverCheck): Promise<readonly Verdict[]> {
  const { deps, command, standbys } = check;
  const verdicts = await Promise.all(
    standbys.map(async ({ lane }): Promise<readonly Verdict[]> => {
      const value = await observeCondition(deps, lane);
      const findings = judgeLane(
        { name: lane.name, state: { kind: 'seen', value, atMs: deps.now() } },
        { command },
      );
      if (findings.length === 0)
        return [
          of(
            lane.name,
            value.health === 'behind'
              ? unknown(
                  'it is behind: its queue is not empty, or was not when this was last seen',
                  `${command} --flush sends what is queued and shows each error.`,
                )
              : good('it takes WAL, as far as is known here'),
          ),
        ];
      return findings.map(({ message, hint }) => of(lane.name, failure(message, hint)));
    }),
  );
  const leftovers = (await findLeftovers(deps)).map(({ directory, files, bytes }) =>
    failure(
      `${directory} is the queue of no standby in slaves: ${files} WAL files, ${inMegabytes(bytes)}`,
      `Nothing sends them. If they are not needed any more: rm -r ${directory}`,
    ),
  );
  return [...verdicts.flat(), ...leftovers];
}

export async function checkShipper(check: ArchiverCheck): Promise<Verdict> {
  const { deps, command } = check;
  const callers = callersOf(await readScheduled(deps.run), 'cmd_archiver', /\s--ship\b/);
  const isShipping = await isLocked(deps.run, shipperPlaces(deps.layout).lock);
  const service = callers.length === 0 ? undefined : `it is a service: ${callers.join(', ')}`;
  if (isShipping)
    return good(
      `the shipper runs; ${service ?? 'no unit or cron entry starts it'}`,
      service === undefined
        ? 'archive_command starts one when it is needed; as a service it outlives PostgreSQL (doc/shipping.md).'
        : undefined,
    );
  if (service !== undefined)
    return failure(
      `the shipper does not run, and ${service}`,
      "Look at it: systemctl status 'pitrtools-shipper*'",
    );
  const server = await check.server();
  if (server.kind === 'seen' && (server.statistics?.archived ?? 0) > 0)
    return failure(
      'no shipper runs: queued WAL is not sent until the next segment is archived',
      `Run ${command} --ship as a service (doc/shipping.md), or see shipper.log in ${deps.layout.privateDirectory}.`,
    );
  if (server.kind === 'seen' && server.statistics !== undefined)
    return good('no shipper runs yet: archive_command starts one with the next segment');
  return unknown(
    'no shipper runs, and whether WAL was archived before is not known',
    `The check server shows why; up to 9.3 PostgreSQL does not say it. archive_command starts a shipper when it is needed; as a service: ${command} --ship (doc/shipping.md).`,
  );
}

export async function checkSpace({ deps: { settings, layout } }: ArchiverCheck): Promise<readonly Verdict[]> {
  const places = [
    { name: 'pg_wal', path: await walDirectory(settings.pgdata).catch(() => settings.pgdata) },
    { name: 'l_archivedir', path: layout.root },
  ];
  return Promise.all(
    places.map(async (place) =>
      of(
        place.name,
        await spaceOf(place.path).then(
          (use) => judgeSpace(settings, place, use),
          () => unknown(`the space of ${place.path} cannot be read`),
        ),
      ),
    ),
  );
}
