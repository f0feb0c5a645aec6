// Bundles js/src into colab_guard/static. With --check nothing is written: the committed bundles are compared.
import { build } from "esbuild";
import { readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { basename } from "node:path";

const source = fileURLToPath(new URL("src/", import.meta.url));
const target = fileURLToPath(new URL("../colab_guard/static/", import.meta.url));

/** css as minified text, so that a bundle needs no second file */
const cssAsText = {
  name: "css-as-text",
  setup(/** @type {import("esbuild").PluginBuild} */ builder) {
    builder.onLoad({ filter: /\.css$/ }, async ({ path }) => ({ contents: await css(path), loader: "text" }));
  },
};

/** @param {string} path */
async function css(path) {
  // the target keeps light-dark() and @container as they are written
  const made = await build({ entryPoints: [path], minify: true, write: false, target: "chrome125", charset: "utf8" });
  return made.outputFiles[0].text.trim();
}

/** @param {string} name */
async function script(name) {
  const made = await build({
    entryPoints: [`${source}${name}.js`],
    bundle: true,
    format: "esm",
    minify: true,
    write: false,
    target: "es2022",
    charset: "utf8",
    plugins: [cssAsText],
  });
  return made.outputFiles[0].text;
}

const outputs = {
  "panel.js": await script("panel"),
  "connection.js": await script("connection"),
  "panel.css": (await css(`${source}panel.css`)) + "\n",
};

let stale = 0;
for (const [name, text] of Object.entries(outputs)) {
  const path = target + name;
  if (process.argv.includes("--check")) {
    const committed = await readFile(path, "utf8").catch(() => "");
    if (committed !== text) {
      console.error(`${basename(path)} is not what js/src builds; run: npm run build`);
      stale += 1;
    }
  } else {
    await writeFile(path, text);
    console.log(`${name}: ${(Buffer.byteLength(text) / 1024).toFixed(1)} KiB`);
  }
}
process.exitCode = stale ? 1 : 0;
