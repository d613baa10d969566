/** The oldest release that has all that we use. bin/require-node.cjs refuses older ones; a test keeps all places equal. */
export const oldestNode = { major: 20, minor: 19 };
