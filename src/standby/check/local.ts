/** The checks of cmd_standby --check that look at this host alone. */
import { open, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { durationText } from '../../amounts.ts';
import { failure, good, of, skipped, unknown, type Verdict } from '../../check/check.ts';
import { linksHere } from '../../check/here.ts';
import { judgeSpace } from '../../check/judge.ts';
import { checkPaths } from '../../check/paths.ts';
import { spaceOf } from '../../check/space.ts';
import { listExpectedPaths } from '../../config/expected-paths.ts';
import { standbyOptions } from '../../config/options-standby.ts';
import { PitrError } from '../../errors.ts';
import { type Capabilities, capabilitiesOf } from '../../postgres/capabilities.ts';
import { ancestorsIn } from '../../postgres/history.ts';
import { findVersion } from '../../postgres/version.ts';
import { checkSegmentHeader, longHeaderBytes } from '../../postgres/wal-header.ts';
import type { SegmentName } from '../../postgres/wal-name.ts';
import { describeResult, succeeded } from '../../system/command.ts';
import {
  nearestExisting,
  readIfExists,
  requireHardLinks,
  requireOwnDirectory,
} from '../../system/durable.ts';
import { findForeignOwner, findOpenIni } from '../../system/file-modes.ts';
import { withTemporaryDirectory } from '../../system/files.ts';
import { programRoot } from '../../system/program-root.ts';
import { haveSameContent } from '../../system/same-content.ts';
import { readSentinel, sentinelName } from '../../system/sentinel.ts';
import { callersOf, readScheduled } from '../../system/units.ts';
import { listWal, readHistory } from '../archive/contents.ts';
import { findMissing } from '../archive/find-missing.ts';
import { missingSentence } from '../archive/missing.ts';
import { observeArchive } from '../archive/own-archive.ts';
import { readArchiverPart } from '../host/archiver-part.ts';
import { misspeltPgdata } from '../host/misspelt-pgdata.ts';
import { peerCommand } from '../peers/peer.ts';
import { archivingProblems, observeArchiving } from '../server/own-archiving.ts';
import { installedPackageFolders } from '../server/server-programs.ts';
import { backupDrillTrouble, type Drills, drillTrouble, observeDrills } from '../status/drill.ts';
import type { Objection } from '../steps/objections.ts';
import type { StandbyCheck } from './context.ts';

const noBackup = 'there is no base backup here yet';

/** An objection of an action, as a verdict. */
export const objected = ({ message, hint }: Objection): Verdict => failure(message, hint);

/** The release of the data directory here or, before the first base backup, the release in the INI file. */
async function releaseHere({ deps: { settings } }: StandbyCheck): Promise<Capabilities | undefined> {
  const inPgdata = await readIfExists(join(settings.pgdata, 'PG_VERSION')).catch(() => undefined);
  const version = findVersion(inPgdata?.toString('utf8') ?? settings.pgversion ?? '');
  return version === undefined ? undefined : capabilitiesOf(version);
}

export async function checkOwnPaths(check: StandbyCheck): Promise<readonly Verdict[]> {
  const { settings } = check.deps;
  const folders = [...settings.includepath, ...(await installedPackageFolders())];
  const expected = listExpectedPaths(standbyOptions, settings, await releaseHere(check));
  return checkPaths(expected, folders);
}

export async function checkIniFile({ deps: { iniFile, settings } }: StandbyCheck): Promise<Verdict> {
  const problem =
    (await findOpenIni(iniFile, settings.repl_db_password !== undefined)) ??
    (await findForeignOwner(iniFile));
  return problem === undefined
    ? good(`only those who may can change or read ${iniFile}`)
    : failure(problem.message, problem.hint === undefined ? undefined : `${problem.hint}.`);
}

export async function checkDataDirectory({
  deps: { settings },
  own,
  command,
}: StandbyCheck): Promise<Verdict> {
  const { pgdata } = settings;
  const [misspelt] = await misspeltPgdata(pgdata);
  if (misspelt !== undefined) return objected(misspelt);
  if ((await stat(pgdata).catch(() => undefined)) === undefined)
    return failure(
      `pgdata "${pgdata}" does not exist`,
      `Correct pgdata: in the INI file, or make it: ${command} -I`,
    );
  await requireOwnDirectory(pgdata);
  const found = await own();
  if (found === undefined) return good(`${pgdata} is ours, and has no base backup yet`);
  const { directory, state } = found;
  return good(
    `${pgdata} is cluster ${directory.control?.systemIdentifier ?? ''}, and its server is ${state.kind === 'recovering' ? 'in recovery' : state.kind}`,
  );
}

export async function checkArchive({ deps, own, command, dryRun }: StandbyCheck): Promise<Verdict> {
  const { archivedir } = deps.settings;
  const makeIt = `If it is the right directory, and mounted: ${command} -I`;
  if ((await stat(archivedir).catch(() => undefined)) === undefined)
    return failure(`archivedir "${archivedir}" does not exist`, makeIt);
  await requireOwnDirectory(archivedir);
  if (!dryRun) await requireHardLinks(archivedir, deps.nonce());
  const sentinel = await readSentinel(archivedir);
  if (sentinel === undefined) return failure(`archivedir "${archivedir}" has no ${sentinelName}`, makeIt);
  const ours = (await own())?.directory.control?.systemIdentifier;
  if (ours !== undefined && ours !== sentinel.systemIdentifier)
    return failure(
      `archivedir "${archivedir}" belongs to cluster ${sentinel.systemIdentifier}, and pgdata is ${ours}`,
      'Each cluster needs an archivedir of its own: correct archivedir: or pgdata:.',
    );
  return good(
    `${archivedir} is of cluster ${sentinel.systemIdentifier}, is ours${dryRun ? '' : ', and has hard links'}`,
  );
}

export async function checkSpace({ deps: { settings } }: StandbyCheck): Promise<readonly Verdict[]> {
  const places = [
    { name: 'pgdata', path: settings.pgdata },
    { name: 'archivedir', path: settings.archivedir },
  ];
  return Promise.all(
    places.map(async (place) => {
      const use = await nearestExisting(place.path)
        .then(spaceOf)
        .catch(() => undefined);
      const verdict =
        use === undefined
          ? unknown(`the space of ${place.path} cannot be read`)
          : judgeSpace(settings, place, use);
      return of(place.name, verdict);
    }),
  );
}

async function judgeFetched(archivedir: string, name: SegmentName, fetched: string): Promise<Verdict> {
  if (!(await haveSameContent(join(archivedir, name.text), fetched)))
    return failure(
      `restore_command fetched other bytes than ${name.text} in ${archivedir}`,
      'Check the disk.',
    );
  const sentinel = await readSentinel(archivedir);
  const handle = await open(fetched, 'r');
  try {
    const bytes = new Uint8Array(longHeaderBytes);
    await handle.read(bytes, 0, longHeaderBytes, 0);
    const ancestors = ancestorsIn((await readHistory(archivedir, name.timeline)) ?? []);
    const judged = checkSegmentHeader(bytes, {
      name,
      systemIdentifier: sentinel?.systemIdentifier ?? '',
      fileSize: (await handle.stat()).size,
      isAncestor: (timeline) => ancestors.has(timeline),
    });
    if (judged.kind === 'good')
      return good(`restore_command fetched ${name.text}, and it is whole and of this cluster`);
    return failure(
      `restore_command fetched ${name.text}, but ${judged.reason}`,
      'The archive holds a file that is no WAL of this cluster: find out who wrote it, and make a new base backup.',
    );
  } finally {
    await handle.close();
  }
}

/** As the server would run it, but into a directory of our own. */
export async function checkRestore({ deps }: StandbyCheck): Promise<Verdict> {
  const { archivedir } = deps.settings;
  const segments = (await listWal(archivedir)).filter((name) => name.kind === 'segment');
  const newest = segments.at(-1);
  if (newest === undefined) return skipped(`${archivedir} has no segment yet`);
  return withTemporaryDirectory('pitrtools-check-', async (directory) => {
    const target = join(directory, newest.text);
    const program = join(programRoot(), 'bin', 'cmd_standby');
    const result = await deps.run(
      { program, args: ['--restore', 'target', archivedir, newest.text, target] },
      { limitMs: 60_000 },
    );
    if (succeeded(result)) return judgeFetched(archivedir, newest, target);
    return failure(
      `restore_command cannot fetch ${newest.text} from ${archivedir}: ${describeResult(result)}`,
      'A standby that starts now would not get this WAL: make the archive readable and whole.',
    );
  });
}

export async function checkMissing({ deps, own }: StandbyCheck): Promise<Verdict> {
  const found = await own();
  if (found === undefined) return skipped(noBackup);
  const { archivedir } = deps.settings;
  const archive = await observeArchive(archivedir, found.directory);
  if (archive.kind === 'unusable')
    return unknown(`the archive cannot be read: ${archive.reason}`, 'See the check archive.');
  const missing = await findMissing(archivedir, found.directory);
  if (missing === undefined)
    return good('no WAL is missing between the restartpoint and the newest segment here');
  return failure(
    missingSentence(missing),
    'cmd_archiver on the primary sends what it still has; otherwise make a new base backup.',
  );
}

/** A standby may have inherited its archive_command from the primary, and would then ship to itself. */
export async function checkInherited({ deps, own }: StandbyCheck): Promise<Verdict | readonly Verdict[]> {
  const found = await own();
  if (found === undefined) return skipped(noBackup);
  const seen = await observeArchiving(found.server);
  if (seen.kind === 'unknown')
    return unknown(`the archive_command of this server is not known: ${seen.reason}`);
  const problems = await archivingProblems(deps, seen.archiving);
  if (problems.length === 0)
    return good('archive_command of this server can stay as it is after a promotion');
  const launcher = join(programRoot(), 'bin', 'cmd_archiver');
  return problems.map((problem) =>
    failure(
      `archive_command of this server must be changed before a promotion: ${problem}`,
      `Make an INI file for cmd_archiver on this host whose list of standbys does not contain this host, and set: archive_command = '${launcher} -C FILE -F %p'`,
    ),
  );
}

export async function checkSchedule({ deps, command }: StandbyCheck): Promise<readonly Verdict[]> {
  const scheduled = await readScheduled(deps.run);
  const tasks = [
    { about: '-P', flag: /\s(-P|--ping)\b/, effect: 'reports it when the primary does not answer' },
    { about: '--cleanup', flag: /\s--cleanup\b/, effect: 'removes WAL that nothing here needs any more' },
  ];
  return tasks.map(({ about, flag, effect }) => {
    const callers = callersOf(scheduled, 'cmd_standby', flag);
    const verdict =
      callers.length === 0
        ? good(
            'no unit or cron entry that we may read calls it',
            `${command} ${about}, from time to time, ${effect}.`,
          )
        : good(`it is called by ${callers.join(', ')}`);
    return of(about, verdict);
  });
}

/** A standby that was never rehearsed may fail when it is needed. */
export async function checkDrill({ deps, command }: StandbyCheck): Promise<Verdict> {
  const { drill_dir, drill_max_age } = deps.settings;
  if (drill_dir === undefined && drill_max_age === undefined) return skipped('drill_dir is not set');
  const drills = await observeDrills(deps);
  const trouble = drillTrouble(drills.ofStandby, drill_max_age, durationText);
  if (trouble !== undefined) return failure(trouble, `Correct what it found, and run: ${command} --drill`);
  const ofBackup = backupDrillTrouble(drills.fromBackup);
  if (ofBackup !== undefined)
    return failure(ofBackup, `Correct what it found, and run: ${command} --drill --from-backup`);
  const passed = passedWords(drills);
  return passed === undefined
    ? good('no drill was run here yet', `${command} --drill rehearses a failover on a copy of this standby.`)
    : good(passed);
}

/** The drills that have passed, none having failed since; undefined if there was none. */
function passedWords({ ofStandby, fromBackup }: Drills): string | undefined {
  const words = [
    ofStandby === undefined ? undefined : `the last drill has passed, at ${ofStandby.endedAt}`,
    fromBackup === undefined
      ? undefined
      : `the last drill from a new base backup has passed, at ${fromBackup.endedAt}`,
  ].filter((text) => text !== undefined);
  return words.length === 0 ? undefined : words.join('; ');
}

/** A base backup is received in pgdata, and WAL in archivedir. */
export async function checkLinks({ deps: { run, settings } }: StandbyCheck): Promise<readonly Verdict[]> {
  const places = [
    { name: 'pgdata', path: settings.pgdata },
    { name: 'archivedir', path: settings.archivedir },
  ];
  return Promise.all(places.map(async ({ name, path }) => of(name, await linksHere(run, name, path))));
}

const setUpRoles = 'For changes of roles, prepare both hosts: doc/switchover.md.';

/** Without these nobody has meant to change roles with that primary: then it is no failure that it is not possible. */
async function rolesToSetUp({ deps, primary }: StandbyCheck): Promise<readonly string[]> {
  const surveyed = await primary().catch(() => undefined);
  const asked = surveyed?.kind === 'reached' ? surveyed.host : undefined;
  const host = asked?.kind === 'got' ? asked.value : undefined;
  const part = await readArchiverPart(deps);
  const { program, iniFile } = peerCommand(deps);
  const there = deps.settings.master_public_ip;
  return [
    ...(host !== undefined && !/^\d/.test(host.program)
      ? [`${program} (peer_program:) does not run on ${there}`]
      : []),
    ...(host !== undefined && !host.hasIni
      ? [`${iniFile} (peer_ini:) is not on ${there}, or cannot be read`]
      : []),
    ...(part.kind === 'missing' ? [`${part.iniFile} (archiver_ini:) does not exist here`] : []),
  ];
}

/** The switchover's own dry run: it observes all hosts, and says each obstacle. */
export async function checkSwitchover(check: StandbyCheck): Promise<Verdict> {
  const { deps, own, trySwitchover } = check;
  const state = (await own())?.state;
  if (state?.kind !== 'recovering') return skipped('no standby runs here');
  const lacking = await rolesToSetUp(check);
  if (lacking.length > 0)
    return { ...skipped(`--switchover is not set up: ${lacking.join('; ')}`), hint: setUpRoles };
  const debug = (message: string) => {
    deps.log.debug(message);
  };
  const quiet = { ...deps, report: debug, log: { ...deps.log, notice: debug, warning: debug, error: debug } };
  try {
    await trySwitchover(quiet);
    return good('--switchover would be possible now');
  } catch (error) {
    deps.signal.throwIfAborted();
    if (!(error instanceof PitrError)) throw error;
    const { message, detail, hint } = error;
    return failure(
      `--switchover is not possible now: ${message}${detail === undefined ? '' : ` (${detail})`}`,
      hint ?? 'A failover (-F999) does not need what is missing.',
    );
  }
}
