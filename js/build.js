// Bundles js/src into colab_guard/static, and writes the hashes of both to built.sha256, so that a test without Node sees a stale
// bundle (tests/panel/test_front_end.py). With --check nothing is written: what is committed is compared.
import { build, transform } from "esbuild";
import { createHash } from "node:crypto";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../", import.meta.url));
const source = `${root}js/src/`;
const target = "colab_guard/static/";

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

/**
 * The page's script as people read it before they paste it, and on one line for a bookmark. Python fills in the settings
 * (colab_guard/keepalive/page_script.py).
 */
async function pageScript() {
  const text = (await readFile(`${source}page_script.js`, "utf8")).replace(/^export /gm, "");
  const [head, ...rest] = text.split(/(?<=\n)\n/); // what it does stays on top
  return `${head}(() => {\n${rest.join("\n")}\nwatch(__SETTINGS__);\n})();\n`;
}

/** @param {string} text */
async function oneLine(text) {
  const made = await transform(text, { minify: true, target: "es2022", charset: "utf8" });
  return made.code.trim() + "\n";
}

/**
 * As sha256sum writes them: of all that the outputs are made from, and of the outputs.
 * @param {Record<string, string>} made
 */
async function hashes(made) {
  const names = ["js/build.js", "js/package-lock.json", ...(await readdir(source)).sort().map((name) => `js/src/${name}`)];
  const read = await Promise.all(names.map(async (name) => /** @type {[string, string]} */ ([name, await readFile(root + name, "utf8")])));
  return [...read, ...Object.entries(made)].map(([name, text]) => `${createHash("sha256").update(text).digest("hex")}  ${name}\n`).join("");
}

const readable = await pageScript();
/** @type {Record<string, string>} by their paths in the repository */
const outputs = {
  [`${target}page_script.js`]: readable,
  [`${target}page_script.min.js`]: await oneLine(readable),
  [`${target}panel.js`]: await script("panel"),
  [`${target}connection.js`]: await script("connection"),
  [`${target}panel.css`]: (await css(`${source}panel.css`)) + "\n",
};
outputs["js/built.sha256"] = await hashes(outputs);

let stale = 0;
for (const [name, text] of Object.entries(outputs)) {
  if (process.argv.includes("--check")) {
    const committed = await readFile(root + name, "utf8").catch(() => "");
    if (committed !== text) {
      console.error(`${name} is not what js/src builds; run: npm run build`);
      stale += 1;
    }
  } else {
    await writeFile(root + name, text);
    console.log(`${name}: ${(Buffer.byteLength(text) / 1024).toFixed(1)} KiB`);
  }
}
process.exitCode = stale ? 1 : 0;
