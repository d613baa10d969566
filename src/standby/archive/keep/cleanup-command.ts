import { join } from 'node:path';
import { settingsIn } from '../../../postgres/settings-file.ts';
import { readIfExists } from '../../../system/durable.ts';
import { findProgram } from '../../../system/find-program.ts';
import { quoted } from '../../../system/printable.ts';
import type { Server } from '../../server/server.ts';
import type { SlotFacts } from './slot.ts';

const shown = 200;

/** Whether this archive_cleanup_command advances the slot: ours does, and a command of the site that calls it. */
function advancesSlot(command: string): boolean {
  return /(^|[\s"'])--restartpoint($|[\s"'])/.test(command);
}

/**
 * Any other command removes archived WAL that the slot was not moved over, and the slot never learns that it had arrived.
 * Without one, nothing of ours limits what the slot keeps. Undefined if the command advances the slot. Pure.
 */
export function whyForeign(command: string): string | undefined {
  if (advancesSlot(command)) return undefined;
  return command === ''
    ? 'archive_cleanup_command is not set, so that no restartpoint would advance a replication slot'
    : `archive_cleanup_command is "${quoted(command, shown)}", which does not advance a replication slot`;
}

async function commandInForce(
  { pgdata, capabilities }: Pick<Server, 'pgdata' | 'capabilities'>,
  { cleanupCommand }: SlotFacts,
): Promise<string> {
  if (capabilities.reportsCleanupCommand) return cleanupCommand ?? '';
  const text = await readIfExists(join(pgdata, 'recovery.conf'));
  return settingsIn(text?.toString('utf8') ?? '').get('archive_cleanup_command') ?? '';
}

/** Why the server here would not advance a slot, with the way out; undefined if it would. */
export async function foreignCleanup(
  server: Pick<Server, 'pgdata' | 'capabilities'>,
  facts: SlotFacts,
): Promise<string | undefined> {
  const reason = whyForeign(await commandInForce(server, facts));
  if (reason === undefined) return undefined;
  return `${reason}. If it is your own, remove it from postgresql.conf or name pg_archivecleanup in the INI file; then cmd_standby -A stop and cmd_standby -S set the right one`;
}

/** The launcher runs these at a restartpoint. Undefined if both are here. */
export async function missingProgram(): Promise<string | undefined> {
  for (const [program, origin] of [
    ['flock', 'util-linux'],
    ['timeout', 'coreutils'],
  ] as const)
    if ((await findProgram(program, [])) === undefined)
      return `there is no program "${program}" on this host (package ${origin}), which advancing the slot at a restartpoint needs`;
  return undefined;
}
