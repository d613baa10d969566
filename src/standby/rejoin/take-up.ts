import { join } from 'node:path';
import type { StandbyDeps } from '../deps.ts';
import { forgetPromotion } from '../follow/steps.ts';
import { writeRecoverySettings } from '../recovery/files.ts';
import { recoveryPlace } from '../recovery/place.ts';
import { recoverySettings } from '../recovery/settings.ts';
import { readCapabilities, rewindingName } from '../server/data-directory.ts';
import { serverOf } from '../server/server.ts';
import { readConfiguration } from '../server/server-configuration.ts';
import { moveBack, moveBackIncomplete, type RewindPhase } from './rewind-directory.ts';

export const phaseWords = {
  moving: 'had not begun to change files: they are put back in their place',
  rewinding: 'may have left files half changed: only a base backup can repair them',
  rewound: 'had succeeded: its files are put in their place',
  returned: 'had succeeded, and its files are in their place',
} as const satisfies Record<RewindPhase, string>;

/** The rewound files must never be there without settings that prevent a start as a primary. */
async function holdAndMoveBack(deps: StandbyDeps): Promise<void> {
  const { pgdata } = deps.settings;
  const server = serverOf(deps, await readCapabilities(join(pgdata, rewindingName)));
  const place = await recoveryPlace(server, await readConfiguration(server, 'standby'));
  const settings = recoverySettings(server.capabilities, { kind: 'hold' }, place);
  await writeRecoverySettings(server, 'held', settings);
  await forgetPromotion(server);
  await moveBack(pgdata);
}

/** Brings pgdata from a run that was killed into a state from which --rejoin can continue. */
export async function takeUpRewind(deps: StandbyDeps, phase: RewindPhase): Promise<void> {
  const { pgdata } = deps.settings;
  deps.log.notice(`an interrupted pg_rewind ${phaseWords[phase]}`);
  switch (phase) {
    case 'moving':
    case 'returned':
      return moveBack(pgdata);
    case 'rewinding':
      return moveBackIncomplete(pgdata);
    case 'rewound':
      return holdAndMoveBack(deps);
  }
}
