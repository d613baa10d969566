import type { FollowFacts } from '../follow/facts.ts';
import type { ArchiveThere } from '../follow/host-archive.ts';
import { listFollowObjections, missingMarks, planFollow } from '../follow/plan.ts';
import { keepingSteps, leftSlotSteps, preparingSteps, slotSteps } from '../recovery/standby-start.ts';
import { noSlot } from '../slot/own-slot.ts';
import { noForce } from '../steps/force.ts';
import { type Objection, refuseOn, when } from '../steps/objections.ts';
import type { RejoinStep } from './steps.ts';
import type { Unsent } from './unsent.ts';
import type { Way } from './way.ts';

export interface RejoinFacts {
  readonly follow: FollowFacts;
  readonly way: Way;
  readonly makesArchive: boolean;
  /** WAL here that the archive of the other server may lack. */
  readonly unsent: readonly Unsent[];
  readonly archiveThere: ArchiveThere;
}

/** WAL that is about to be removed here must be safe there first. */
function archiveObjections({ follow, way, unsent, archiveThere }: RejoinFacts): readonly Objection[] {
  if (archiveThere.kind === 'archive' || unsent.length === 0 || way.kind === 'none') return [];
  const { host } = follow.request.address;
  return [
    {
      message: `${unsent.length} WAL files of this server cannot be offered to "${archiveThere.directory}" on ${host}: ${archiveThere.reason}`,
      hint: `Have r_archivedir: for ${host} in cmd_archiver.ini here name the archivedir there, or run cmd_standby -C FILE -I there.`,
    },
  ];
}

export function listRejoinObjections(facts: RejoinFacts, iniFile: string): readonly Objection[] {
  return [...listFollowObjections(facts.follow, iniFile, false), ...archiveObjections(facts)];
}

function offerSteps({ unsent, archiveThere }: RejoinFacts): readonly RejoinStep[] {
  if (archiveThere.kind !== 'archive') return [];
  return when(unsent.length > 0, { kind: 'offer', files: unsent, to: archiveThere.directory });
}

/** The steps; those of a base backup follow them. Throws a refusal that names all objections. */
export function planRejoin(facts: RejoinFacts, iniFile: string): readonly RejoinStep[] {
  refuseOn(listRejoinObjections(facts, iniFile), noForce);
  const { follow, way } = facts;
  const { answer, start, ini, request } = follow;
  if (answer.kind === 'silent') throw answer.error;
  const offer = [
    ...when(facts.makesArchive, { kind: 'make-archive', archive: start.archive }),
    ...offerSteps(facts),
  ];
  if (way.kind === 'none') return [...offer, ...planFollow(follow, iniFile)];
  const marks = missingMarks(follow, answer.host.facts);
  const first: readonly RejoinStep[] = [
    ...when(way.kind === 'rewind', { kind: 'checkpoint-there' }),
    ...offer,
    ...when(marks.length > 0, { kind: 'mark-left', marks }),
    ...(ini.kind === 'editable' ? [{ kind: 'edit-ini', changes: ini.changes } as const] : []),
  ];
  if (way.kind === 'base-backup') return first;
  const { configuration, settings, streams } = start;
  return [
    ...first,
    ...slotSteps(answer.host.facts.slot ?? noSlot),
    ...when(follow.hasSlots, { kind: 'drop-slots-here' as const }),
    { kind: 'rewind', able: way.able, settings },
    ...preparingSteps(start),
    { kind: 'forget-promotion' },
    { kind: 'put-back' },
    { kind: 'start-server', configuration },
    { kind: 'see-it-recover' },
    { kind: 'see-it-follow', host: request.address.host, streams, isDelayed: start.isDelayed },
    ...leftSlotSteps(start),
    ...keepingSteps(start),
  ];
}
