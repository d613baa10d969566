/**
 * The base backup of `--drill --from-backup`: the steps of -B with other directories. Its pgdata and its archivedir lie in the
 * directory of the drill, so that nothing of the standby is written; it makes no slot, and asks no archiver to resume.
 */
import { isAbsolute, join } from 'node:path';
import type { StandbySettings } from '../../../config/options-standby.ts';
import { isWithin } from '../../../config/path-values.ts';
import { exitCodes, messageOf, PitrError, refusal } from '../../../errors.ts';
import { parseTablespaceSizes, tablespaceSizesSql } from '../../../postgres/backup-sql.ts';
import { segmentContaining } from '../../../postgres/lsn.ts';
import type { StandbyDeps } from '../../deps.ts';
import { quietLog } from '../../drill/copy-server.ts';
import type { NewBackupFacts, NewBackups } from '../../drill/new-backup.ts';
import type { DrillPlace } from '../../drill/place.ts';
import { withConfiguredPrimary, withPrimaryAndSource } from '../../primary/connect.ts';
import { originOf } from '../../primary/origin.ts';
import type { Primary, PrimaryFacts } from '../../primary/primary.ts';
import { carryOut } from '../../steps/carry-out.ts';
import type { Force } from '../../steps/force.ts';
import { sayOverruled } from '../../steps/objections.ts';
import { bindSteps } from '../../steps/step-table.ts';
import { needed } from './context.ts';
import { withConnections } from './copy/connections.ts';
import { type BackupFacts, layoutOf, observeForBackup } from './facts.ts';
import { listObjections } from './objections.ts';
import { forgetBackup, readNotedBackup } from './on-primary/backup-note.ts';
import { stopWithSessions } from './on-primary/needed-sessions.ts';
import { abandonStart } from './on-primary/primary-backup.ts';
import { planBaseBackup } from './plan.ts';
import type { BackupRun } from './results.ts';
import { backupSteps } from './steps.ts';

/** Each tablespace has its place in the drill; one inside the primary's data directory stays inside. */
function tablespacePlaces(
  { tablespaces, dataDirectory }: PrimaryFacts,
  place: DrillPlace,
): ReadonlyMap<string, string> {
  return new Map(
    tablespaces
      .filter(({ location }) => isAbsolute(location) && !isWithin(location, dataDirectory))
      .map(({ oid, location }) => [location, join(place.tablespaces, oid)]),
  );
}

/** @param archivedir where the steps look for WAL, and the only archive that they change */
function settingsFor(
  settings: StandbySettings,
  primary: PrimaryFacts,
  place: DrillPlace,
  archivedir: string,
): StandbySettings {
  const { drill_nice, drill_ionice } = settings;
  return {
    ...settings,
    pgdata: place.pgdata,
    archivedir,
    tablespaces: tablespacePlaces(primary, place),
    use_streaming_replication: false,
    use_slot: false,
    archiver_ini: undefined,
    basebackup_nice: Math.max(settings.basebackup_nice, drill_nice),
    basebackup_ionice: drill_ionice === 'off' ? settings.basebackup_ionice : drill_ionice,
  };
}

/** The messages for an operator of -B are nothing for one of a drill. */
function quiet(deps: StandbyDeps): StandbyDeps {
  return {
    ...deps,
    log: quietLog(deps.log, 'in the base backup of the drill'),
    report: (line) => {
      deps.log.debug(line);
    },
  };
}

async function observe(
  deps: StandbyDeps,
  primary: Primary,
  { directory }: DrillPlace,
  how: { readonly dryRun: boolean; readonly force: Force },
): Promise<BackupFacts> {
  // The copy is started with the configuration of the standby.
  const none = () => Promise.resolve([]);
  const facts = await observeForBackup(deps, primary, { ...how, verify: false }, none);
  return {
    ...facts,
    noteDirectory: directory,
    notedBackup: await readNotedBackup(directory),
  };
}

/** Undefined if the role lacks the right to ask for the size of all tablespaces. */
async function sizeOf({ query, facts }: Primary): Promise<number | undefined> {
  const sizes = [...parseTablespaceSizes(await query(tablespaceSizesSql(facts.capabilities))).values()];
  return sizes.reduce((sum, size) => (sum === undefined || size === undefined ? undefined : sum + size), 0);
}

/** Where nothing is, whatever a killed drill has left. */
function emptyPlace(place: DrillPlace): DrillPlace {
  const run = join(place.run, 'none');
  return { ...place, run, pgdata: join(run, 'pgdata'), tablespaces: join(run, 'tablespaces') };
}

async function lookAtPrimary(
  deps: StandbyDeps,
  primary: Primary,
  place: DrillPlace,
  force: Force,
): Promise<NewBackupFacts> {
  const settings = settingsFor(deps.settings, primary.facts, emptyPlace(place), deps.settings.archivedir);
  const facts = await observe({ ...deps, settings }, primary, place, { dryRun: true, force });
  planBaseBackup(facts);
  const { timeline, lsn } = needed(facts.position, 'the position of the primary');
  const layout = layoutOf(facts);
  return { from: segmentContaining(timeline, lsn, layout), layout, bytes: await sizeOf(primary) };
}

async function look(given: StandbyDeps, place: DrillPlace, force: Force): Promise<NewBackupFacts> {
  const deps = quiet(given);
  try {
    return await withPrimaryAndSource(deps, (primary) => lookAtPrimary(deps, primary, place, force));
  } catch (error) {
    if (!(error instanceof PitrError) || error.exitCode === exitCodes.refused || given.signal.aborted)
      throw error;
    throw refusal(`a drill from a new base backup needs the primary: ${error.message}`, {
      detail: error.detail,
      hint: `${error.hint ?? ''}\nWithout the primary: --drill alone rehearses the failover on a copy of this standby.`.trim(),
      cause: error,
    });
  }
}

/** The steps of -B, but for undoing that is of no use: all of the drill is removed. */
const steps = {
  ...backupSteps,
  'mark-copying': { ...backupSteps['mark-copying'], undo: () => Promise.resolve() },
};

async function carryOutAll(run: BackupRun): Promise<void> {
  const { deps, facts, primary } = run;
  const plan = planBaseBackup(facts);
  sayOverruled(deps, listObjections(facts), facts.force);
  const further = facts.rsync === undefined ? 0 : deps.settings.rsync_threads - 1;
  await withConnections(deps, originOf(primary).shell.target, further, (takeConnection) =>
    carryOut(deps, bindSteps(plan, steps, { ...run, takeConnection })),
  );
}

async function makeFrom(
  given: StandbyDeps,
  primary: Primary,
  place: DrillPlace,
  force: Force,
): Promise<void> {
  const beganMs = given.monotonicMs();
  const state: BackupRun['state'] = { onPrimary: 'none', isCopyBegun: false };
  const settings = settingsFor(given.settings, primary.facts, place, place.archive);
  const deps = stopWithSessions(
    { ...given, settings },
    primary,
    () => primary.protocol === undefined && state.onPrimary !== 'ended',
  );
  const facts = await observe(deps, primary, place, { dryRun: false, force });
  await carryOutAll({ deps, primary, facts, onEvent: () => undefined, results: {}, state, beganMs });
}

const again = 'Remove the cause, and run the drill again: a new base backup (-B) may fail in the same way.';

/** The steps name the archive of the drill, which shows archivedir, and speak to an operator who runs -B. */
function inWordsOfDrill(error: PitrError, { settings }: StandbyDeps, { archive }: DrillPlace): PitrError {
  const shown = (text: string) => text.replaceAll(archive, settings.archivedir);
  const { message, detail, hint = again, exitCode } = error;
  return new PitrError(shown(message), {
    detail: detail === undefined ? undefined : shown(detail),
    hint: / -B\b/.test(hint) ? again : shown(hint),
    exitCode,
    cause: error,
  });
}

async function make(given: StandbyDeps, place: DrillPlace, force: Force): Promise<void> {
  const deps = quiet(given);
  try {
    await withPrimaryAndSource(deps, (primary) => makeFrom(deps, primary, place, force));
  } catch (error) {
    throw error instanceof PitrError ? inWordsOfDrill(error, given, place) : error;
  }
}

async function endLeft(given: StandbyDeps, { directory }: DrillPlace): Promise<void> {
  const label = await readNotedBackup(directory);
  if (label === undefined) return;
  const deps = quiet(given);
  try {
    await withConfiguredPrimary(deps, (primary) => abandonStart({ deps, primary }, label));
    await forgetBackup(directory);
  } catch (error) {
    given.log.warning(
      `a drill that was killed may have left the backup "${label}" on the primary: ${messageOf(error)}`,
      { hint: 'The next drill tries again to end it; so does cmd_standby -C FILE -A stop_basebackup.' },
    );
  }
}

export const newBackups: NewBackups = { look, make, endLeft };
