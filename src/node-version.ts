import { exitCodes, PitrError } from './errors.ts';

/** The oldest release that has all that we use; a test keeps package.json's `engines` equal to it. */
export const oldestNode = { major: 20, minor: 19 };

/** An older release would fail somewhere in the middle, with a stack that names no cause. */
export function refuseOldNode(version: string, path: string): void {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  if (major > oldestNode.major || (major === oldestNode.major && minor >= oldestNode.minor)) return;
  const wanted = `${oldestNode.major}.${oldestNode.minor}`;
  throw new PitrError(`"${path}" is Node.js ${version}, but ${wanted} or later is needed`, {
    hint: `Install a newer Node.js, or set PITRTOOLS_NODE to the path of one (doc/install.md).`,
    exitCode: exitCodes.refused,
  });
}
