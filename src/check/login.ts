/** The rights of the key with which we log in to a host. */
import { good, unknown, type Verdict } from './check.ts';

/** A command of a script for that host: sshd lets a forced command know the command that was asked for. */
export const forcedScript = `if [ -n "\${SSH_ORIGINAL_COMMAND+set}" ]; then echo forced; fi`;

/** @param place `USER@HOST` */
export function judgeLogin(place: string, isForced: boolean): readonly Verdict[] {
  const open = good(`ssh lets us in as ${place}, and the login prints nothing`);
  if (!isForced) return [open];
  return [
    open,
    unknown(
      `our key for ${place} is limited to a forced command, which lets sh through: whether it does so for rsync, too, is not known`,
      'It must run what SSH_ORIGINAL_COMMAND says: sh, and rsync --server with any arguments. Otherwise remove command= from the line of the key in authorized_keys there, and ForceCommand from sshd_config.',
    ),
  ];
}
