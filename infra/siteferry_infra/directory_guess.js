// Viewer request: a URL whose last part has no dot is taken for a directory's, and redirected to one that ends in "/".
function handler(event) {
    var request = event.request;
    if (request.uri.endsWith('/')) {
        request.uri += 'index.html';
        return request;
    }
    var last = request.uri.slice(request.uri.lastIndexOf('/') + 1);
    if (last === '' || last.indexOf('.') >= 0) {
        return request;
    }
    return {
        statusCode: 301,
        statusDescription: 'Moved Permanently',
        headers: {
            location: { value: directoryUrl(request) },
            'cache-control': { value: 'public, max-age=60' }
        }
    };
}
