import { readFile } from 'node:fs/promises';
import { readPostmaster } from '../../system/postmaster.ts';
import { unitIn } from '../../system/units.ts';
import type { StandbyDeps } from '../deps.ts';
import type { Objection } from '../steps/objections.ts';

/** A server that is stopped behind the back of its supervisor may be started again by it at any moment. */
export async function supervisorObjections({ settings }: StandbyDeps): Promise<readonly Objection[]> {
  if (settings.stop_command !== undefined) return [];
  const postmaster = await readPostmaster(settings.pgdata);
  if (postmaster.kind !== 'running') return [];
  const unit = unitIn(await readFile(`/proc/${postmaster.pid}/cgroup`, 'utf8').catch(() => ''));
  if (unit === undefined) return [];
  return [
    {
      message: `the server in "${settings.pgdata}" is run by systemd (${unit}), and cmd_standby would stop it by pg_ctl`,
      hint: `Set stop_command: sudo systemctl stop ${unit} and start_command: sudo systemctl start ${unit} in cmd_standby's INI file on that host.`,
    },
  ];
}
