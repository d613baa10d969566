import type { SshTarget } from '../../system/ssh.ts';
import { sshTarget } from '../../system/ssh-target.ts';
import type { ArchiverDeps } from '../deps.ts';
import type { Lane } from './lane.ts';

export async function sshTargetOf(
  { settings }: Pick<ArchiverDeps, 'settings'>,
  { standby }: Pick<Lane, 'standby'>,
): Promise<SshTarget> {
  return { ...(await sshTarget({ ...standby, what: 'the standby' }, settings)), isForMuch: true };
}
