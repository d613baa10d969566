import { oldestNode } from '../node-version.ts';
import { good, type Verdict } from './check.ts';

/** With an older release the program would have ended already. */
export function checkNode(): Promise<Verdict> {
  const { major, minor } = oldestNode;
  return Promise.resolve(
    good(
      `Node.js ${process.versions.node} at ${process.execPath} is recent enough (${major}.${minor} or later)`,
    ),
  );
}
