/** The warnings of -S, -P and the check without an action about slots on the primary. */
import { messageOf, PitrError } from '../../errors.ts';
import { findSlot, isLost, type SlotThere } from '../../postgres/stream-slot.ts';
import type { StandbyDeps } from '../deps.ts';
import type { DataDirectory } from '../server/data-directory.ts';
import { serverOf } from '../server/server.ts';
import { observeServer } from '../server/server-state.ts';
import type { Objection } from '../steps/objections.ts';
import { leftSlots } from './notes.ts';
import { renewCommands, slotConcerns } from './objections.ts';
import { ownSlotName } from './own-name.ts';
import { askOwnSlotNow, makeOwnSlot, ownSlotObjections, type SlotFact } from './own-slot.ts';

/** Before -S starts the standby. */
export function sayOwnSlot({ log, settings }: StandbyDeps, slot: SlotFact): void {
  const { master_public_ip: host } = settings;
  if (slot.kind === 'silent')
    log.warning(`replication slot "${slot.name}" cannot be made on ${host} now: ${slot.reason}`, {
      hint: 'The standby replays the archive, and streams as soon as the slot is there: cmd_standby -P makes it.',
    });
  if (slot.kind === 'asked')
    for (const concern of slotConcerns(slot.there, host, slot.name)) log.warning(concern);
}

/** Whether the standby here was started with that slot in its settings. */
function streamsBySlot(deps: StandbyDeps, { record }: DataDirectory, name: string): boolean {
  const own = record.ownSlots ?? [];
  return record.settings?.mode === 'standby' && leftSlots(deps, own, name).length < own.length;
}

function sayObjections({ log }: StandbyDeps, objections: readonly Objection[]): void {
  for (const { message, hint } of objections)
    log.warning(
      `this standby cannot stream by its replication slot: ${message}`,
      hint === undefined ? {} : { hint },
    );
}

/**
 * The need of -P. A slot for a standby that does not stream would only keep WAL: perhaps it is retired, and the operator
 * has dropped its slot.
 *
 * @param askRecovers whether the server here runs as a standby: asked only if it matters
 */
export async function slotNeed(
  found: SlotThere | undefined,
  askRecovers: () => Promise<boolean>,
): Promise<'none' | 'start-anew' | 'later' | 'make'> {
  if (found !== undefined && !isLost(found)) return 'none';
  if (found?.isActive === true) return 'start-anew';
  return (await askRecovers()) ? 'make' : 'later';
}

/** For each -P while a server that it can stream from is alive: makes the slot again if it is gone or lost. Never fails. */
export async function visitOwnSlot(deps: StandbyDeps, directory: DataDirectory): Promise<void> {
  const { capabilities, control } = directory;
  const name = ownSlotName(deps, capabilities, directory.record);
  if (name === undefined || !streamsBySlot(deps, directory, name)) return;
  try {
    const slot = await askOwnSlotNow(deps, directory);
    const found = slot.kind === 'asked' ? findSlot(slot.there, name) : undefined;
    const server = serverOf(deps, capabilities);
    const need = await slotNeed(found, async () => (await observeServer(server)).kind === 'recovering');
    if (need !== 'make') {
      sayNeed(deps, need, name, found !== undefined);
      return;
    }
    const objections = ownSlotObjections(slot, control?.systemIdentifier, true);
    sayObjections(deps, objections);
    if (objections.length > 0) return;
    await makeOwnSlot(server, name);
    if (found === undefined)
      deps.log.notice(
        `made replication slot "${name}" on ${deps.settings.master_public_ip}, which was missing`,
      );
  } catch (error) {
    deps.signal.throwIfAborted();
    deps.log.warning(
      `replication slot "${name}" on ${deps.settings.master_public_ip} cannot be looked at: ${messageOf(error)}`,
    );
  }
}

function sayNeed(
  { log, settings }: StandbyDeps,
  need: 'none' | 'start-anew' | 'later',
  name: string,
  isThere: boolean,
): void {
  const slot = `replication slot "${name}" on ${settings.master_public_ip}`;
  if (need === 'start-anew')
    log.warning(
      `${slot} is in use by this standby, but keeps no WAL: it was invalidated (max_slot_wal_keep_size)`,
      { hint: `Make it anew: ${renewCommands}` },
    );
  if (need === 'later')
    log.notice(
      `${slot} ${isThere ? 'keeps no WAL any more' : 'is missing'}, and no standby is recovering here: -S makes it`,
    );
}

/** For the check without an action. A primary that does not answer is no problem of this host. */
export async function warnOfSlots(deps: StandbyDeps, directory: DataDirectory): Promise<void> {
  const { control } = directory;
  try {
    const slot = await askOwnSlotNow(deps, directory);
    if (slot.kind !== 'asked') return;
    const { name, there, host } = slot;
    const objections = ownSlotObjections(slot, control?.systemIdentifier, true);
    sayObjections(deps, objections);
    if (objections.length > 0) return;
    if (streamsBySlot(deps, directory, name) && findSlot(there, name) === undefined)
      deps.log.warning(`there is no replication slot "${name}" on ${host}: this standby cannot stream`, {
        hint: 'While it recovers, cmd_standby -P makes it; else -S.',
      });
    for (const concern of slotConcerns(there, host)) deps.log.warning(concern);
  } catch (error) {
    deps.signal.throwIfAborted();
    if (!(error instanceof PitrError)) throw error;
    deps.log.notice(
      `the replication slots on ${deps.settings.master_public_ip} are not known: ${error.message}`,
    );
  }
}
