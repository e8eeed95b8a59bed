// A browser that cannot run the page is led to the plain pages, which say why. Written as of 2009, and looked at before all
// else: browsers with modules have it in the page, those without get it as a file (their policies may not know hashes).
(function () {
  function leave() { location.replace("/plain?why=browser"); }
  if (!("noModule" in document.createElement("script")) || !window.fetch || !window.AbortController || !window.Intl
    || !Element.prototype.append || !Object.entries || !Array.prototype.flatMap) leave();
  // Whatever else of our scripts it cannot read, it says itself.
  else addEventListener("error", function (event) { if (/SyntaxError/.test(event.message)) leave(); });
})();
