import { type Host, writeScript } from '../../../test/harness/host.ts';

export const hostKeys = '-o BatchMode=yes -o StrictHostKeyChecking=accept-new';

/** ssh as this host's programs call it, as one path without arguments. */
export function sshScript(host: Host): string {
  return writeScript(host, 'bench-ssh', `exec ${host.ssh} ${hostKeys} "$@"`);
}
