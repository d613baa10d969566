import { untestedRelease } from '../../postgres/capabilities.ts';
import { ensureDirectory, requireHardLinks } from '../../system/durable.ts';
import { type Sentinel, sentinelName, updateSentinel } from '../../system/sentinel.ts';
import type { ActionOptions, StandbyDeps } from '../deps.ts';
import { type LocalPlace, newSentinel, observeLocalPlace, placeObjections } from '../host/place.ts';
import { outsidePgdata } from '../host/tablespaces.ts';
import { withConfiguredPrimary } from '../primary/connect.ts';
import type { PrimaryFacts } from '../primary/primary.ts';
import { sayWherePrimaryIsHere } from '../primary/primary-is-here.ts';
import { perform } from '../steps/carry-out.ts';
import type { Force } from '../steps/force.ts';
import { type Objection, refuseOn, sayOverruled, when } from '../steps/objections.ts';
import type { StepTable } from '../steps/step-table.ts';

export type InitStep =
  | { readonly kind: 'make-directory'; readonly path: string; readonly purpose: string }
  | { readonly kind: 'write-sentinel'; readonly archivedir: string; readonly sentinel: Sentinel };

/**
 * This host has received WAL before: an archivedir without a sentinel is probably a mount point whose file system is
 * missing.
 */
function lostArchiveObjections({ hasRecord, sentinel, archivedir }: LocalPlace): readonly Objection[] {
  return when(hasRecord && sentinel.kind === 'none', {
    name: 'new-archive',
    message: `archivedir "${archivedir}" has no ${sentinelName}, although this host was a standby already: is its file system mounted?`,
    hint: 'Mount it.',
    cost: 'if it is not mounted, WAL will be stored in the directory below the mount point',
  });
}

/** All objections to -I. */
function listInitObjections(place: LocalPlace, facts: PrimaryFacts): readonly Objection[] {
  return [...placeObjections(place, facts), ...lostArchiveObjections(place), ...place.misspelt];
}

/** The steps that prepare this host for a base backup; every run has the same ones. Throws a refusal. */
export function planInit(place: LocalPlace, facts: PrimaryFacts, force: Force): readonly InitStep[] {
  refuseOn(listInitObjections(place, facts), force);
  const tablespaces = outsidePgdata(place.targets);
  const promoted = place.sentinel.kind === 'found' ? place.sentinel.sentinel.promotedAtTimeline : undefined;
  return [
    { kind: 'make-directory', path: place.pgdata, purpose: 'the data directory' },
    ...tablespaces.map(({ name, target: path }): InitStep => ({
      kind: 'make-directory',
      path,
      purpose: `tablespace "${name}"`,
    })),
    { kind: 'make-directory', path: place.archivedir, purpose: 'the archive' },
    {
      kind: 'write-sentinel',
      archivedir: place.archivedir,
      // A promotion stays recorded until a new base backup makes this host follow the primary again.
      sentinel: { ...newSentinel(place, facts), promotedAtTimeline: promoted },
    },
  ];
}

const initSteps: StepTable<InitStep, StandbyDeps> = {
  'make-directory': {
    say: ({ purpose, path }) => `make ${purpose} "${path}" (0700) unless it is there`,
    run: (_, { path }) => ensureDirectory(path),
  },
  'write-sentinel': {
    say: ({ archivedir, sentinel }) =>
      `mark "${archivedir}" as the archive of cluster ${sentinel.systemIdentifier}`,
    run: async ({ run }, { archivedir, sentinel }) => {
      await requireHardLinks(archivedir, 'pitrtools-init');
      // A timeline may have been left since the sentinel was observed.
      await updateSentinel(run, archivedir, (now) => ({
        ...sentinel,
        left: now?.left ?? sentinel.left,
        diverged: now?.diverged,
      }));
    },
  },
};

/** -I: makes a standby's directories and marks its archive. It can be repeated, and needs the primary. */
export async function initStandby(deps: StandbyDeps, options: ActionOptions): Promise<number> {
  await sayWherePrimaryIsHere(deps);
  const steps = await withConfiguredPrimary(deps, async (primary) => {
    const place = await observeLocalPlace(deps, primary, !options.dryRun);
    const planned = planInit(place, primary.facts, options.force);
    sayOverruled(deps, listInitObjections(place, primary.facts), options.force);
    const untested = untestedRelease(primary.facts.capabilities);
    if (untested !== undefined) deps.log.warning(untested);
    if (place.content.kind === 'missing' && !options.dryRun)
      deps.log.notice(`pgdata "${place.pgdata}" does not exist and is made: -B will fill it`);
    return planned;
  });
  if (await perform(deps, options, steps, initSteps, deps)) deps.report('Standby is ready');
  return 0;
}
